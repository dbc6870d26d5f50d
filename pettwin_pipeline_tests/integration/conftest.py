"""Clients and topics of a real Kafka, of the test's own."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline_tests.integration.brokers import OwnBroker, own_broker
from pettwin_pipeline_tests.integration.outcomes import (
    Outcome,
    new_pipeline,
    outcome,
    run_until_done,
)
from pettwin_pipeline_tests.integration.topics import made, settings


@pytest.fixture
def client(kafka: str) -> Iterator[Kafka]:
    """A client with a consumer group of its own."""
    with Kafka(settings(kafka)) as client:
        yield client


@pytest.fixture
def topic(client: Kafka) -> str:
    """A new topic of two partitions."""
    return made(client, 2)


@pytest.fixture(scope="session")
def undisturbed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What comes of the messages of `new_pipeline` where nothing goes wrong."""
    with pytest.MonkeyPatch.context() as patch:
        pipeline = new_pipeline(kafka, tmp_path_factory.mktemp("undisturbed"), patch)
        run_until_done(pipeline)
        return outcome(pipeline)


@pytest.fixture(scope="session")
def frail_broker(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    """A Kafka that tests may stop and pause, if they start it again; it compacts at once."""
    del kafka  # skips where there can be none
    with own_broker(tmp_path_factory.mktemp("frail"), {"log.cleaner.backoff.ms": "100"}) as broker:
        yield broker
