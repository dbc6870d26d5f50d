from dataclasses import replace

from pettwin_pipeline.detection.episodes import Episode, name_episode
from pettwin_pipeline.detection.verdicts import (
    NO_MODEL,
    encode_verdicts,
    judge_statistically,
    parse_verdicts,
)
from pettwin_pipeline_tests.detection.test_episodes import CHANGE, PLACE


def _episode(*, severity: int = 2, ended: int | None = None) -> Episode:
    return name_episode(replace(CHANGE, severity=severity, ended=ended), PLACE)


def test_each_severity_of_an_episode_gets_one_verdict_and_its_end_none() -> None:
    episodes = [_episode(severity=1), _episode(severity=3), _episode(severity=3, ended=100_030)]
    judged = judge_statistically(episodes)
    assert [one.severity for one in judged] == ["low", "high"]
    assert {one.episode_id for one in judged} == {episodes[0].episode_id}
    assert len({one.verdict_id for one in judged}) == 2


def test_a_statistical_verdict_says_that_it_is_one() -> None:
    (one,) = judge_statistically([_episode()])
    assert (one.origin, one.model, one.note) == ("statistical", None, NO_MODEL)
    assert one.is_anomalous
    assert one.reason == _episode().reason


def test_a_note_can_say_why_no_model_was_asked() -> None:
    (one,) = judge_statistically([_episode()], note="the budget of the day is spent")
    assert one.note == "the budget of the day is spent"


def test_verdicts_are_kept_and_come_back() -> None:
    judged = judge_statistically([_episode(severity=1), _episode(severity=2)])
    assert parse_verdicts(encode_verdicts(judged)) == judged
    assert encode_verdicts(judged) == encode_verdicts(
        judge_statistically([_episode(severity=1), _episode(severity=2)])
    )
