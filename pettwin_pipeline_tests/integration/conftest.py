"""Clients and topics of a real Kafka, of the test's own."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
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
