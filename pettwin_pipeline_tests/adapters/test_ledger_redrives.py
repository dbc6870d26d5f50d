"""What the ledger knows of letters that were sent back: settled ones count, others may not."""

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.batches import PartitionRange

PLACE = ("letters", "epoch")


def part(start: int, end: int, partition: int = 0) -> PartitionRange:
    return PartitionRange(partition, start, end)


@pytest.fixture
def noted(ledger: Ledger) -> Ledger:
    """A ledger in which two pieces were noted, and the first was settled."""
    ledger.redrives.note(*PLACE, "one", [part(0, 5), part(7, 8)])
    ledger.redrives.settle(*PLACE, "one")
    ledger.redrives.note(*PLACE, "two", [part(5, 7), part(0, 2, partition=1)])
    return ledger


def test_a_piece_counts_once_it_is_settled(noted: Ledger) -> None:
    assert noted.redrives.dealt_with(*PLACE) == [part(0, 5), part(7, 8)]
    noted.redrives.settle(*PLACE, "two")
    assert noted.redrives.dealt_with(*PLACE) == [part(0, 8), part(0, 2, partition=1)]


def test_a_piece_that_is_known_to_be_sent_counts_for_the_successor(noted: Ledger) -> None:
    whole = [part(0, 8), part(0, 2, partition=1)]
    assert noted.redrives.dealt_with(*PLACE, {"two", "another"}) == whole
    assert noted.redrives.take_over(*PLACE, {"two", "another"}) == whole
    assert noted.redrives.dealt_with(*PLACE) == whole


def test_a_piece_that_was_not_sent_is_forgotten_by_the_successor(noted: Ledger) -> None:
    assert noted.redrives.take_over(*PLACE, {"one"}) == [part(0, 5), part(7, 8)]
    noted.redrives.settle(*PLACE, "two")
    assert noted.redrives.dealt_with(*PLACE) == [part(0, 5), part(7, 8)]


def test_a_piece_that_was_forgotten_can_be_noted_anew(noted: Ledger) -> None:
    noted.redrives.take_over(*PLACE)
    noted.redrives.note(*PLACE, "three", [part(5, 7)])
    noted.redrives.settle(*PLACE, "three")
    assert noted.redrives.dealt_with(*PLACE) == [part(0, 8)]


def test_another_epoch_of_the_topic_has_nothing_in_common(noted: Ledger) -> None:
    assert noted.redrives.take_over("letters", "later", {"two"}) == []
    assert noted.redrives.dealt_with(*PLACE, {"two"}) != []
