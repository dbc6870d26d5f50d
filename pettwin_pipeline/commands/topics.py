"""`pettwin topics create`: the topics that the pipeline reads and writes."""

from collections.abc import Callable

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.settings import Settings


def create_topics(
    settings: Settings, kafka: Kafka, partitions: int, replication: int = -1
) -> dict[str, str]:
    """Make what is missing: `partitions` for readings, one for each of the others.

    Alerts, labels and dead letters are few: one partition keeps them in order.

    Returns:
        `made` or `was there`, by topic.
    """
    wanted = dict.fromkeys(settings.topics, 1) | {settings.kafka_topic: partitions}
    return kafka.create_topics(wanted, replication)


def run(partitions: int, replication: int, say: Callable[[str], None]) -> None:
    """Make the topics, and say of each what happened."""
    settings = Settings.load()
    with Kafka(settings) as kafka:
        for name, what in create_topics(settings, kafka, partitions, replication).items():
            say(f"{name}: {what}")
        say(f"{len(settings.topics)} topics are there at {kafka.broker.bootstrap}")
