"""The peer of benchmarks/stream.py: a Quix Streams job that keeps the same state of each pet.

Run by stream.py in an environment of its own (peers.txt). Prints one line: seconds from the first
message to the last commit, and the messages.

What it does less than ours: no ranges of values, no rejects, no age limits, no levels for sleep and
wake, no exercise, no episodes; it stores neither readings nor scores, and its medians look at the
ring only when a slot closes. What it does more: with --changelog each change of a state is sent to
Kafka as well. What is the same: JSON decoded, slots of 10 s, a ring of 24 means at rest, a slow
level, a score of each reading, kept so that another process can go on.

Set as its documentation advises: a key of the store that is touched by each reading is small (the
open slot), the ring has another one; states are flushed with the checkpoint, not by message; its
client fetches with the same options as ours. Its defaults otherwise.
"""

import argparse
import math
import statistics
import time
from datetime import datetime
from typing import Any

from quixstreams import Application, State

SLOT_S, RING, FAST, PRIOR = 10, 24, 12, 24
USUAL = math.log(90)
FETCH = {
    "queued.max.messages.kbytes": 65536,
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 5,
}


class Seen:
    """When the first message came, and how many did."""

    began_s = 0.0
    messages = 0


def score(reading: dict[str, Any], state: State) -> float:
    """Move the pet's state on by one reading; how far the pet is from its level."""
    Seen.began_s = Seen.began_s or time.perf_counter()
    Seen.messages += 1
    slot = int(datetime.fromisoformat(reading["timestamp"]).timestamp()) // SLOT_S
    bpm, activity = reading.get("heart_rate"), reading.get("activity_score")
    number, total, count, busy, latest = state.get("open", (slot, 0.0, 0, 0.0, 0.0))
    if slot < number:
        return latest
    if slot > number:
        if count and busy / count < 20:
            latest = close(total / count, state)
        total, count, busy = 0.0, 0, 0.0
    if bpm is not None:
        total, count, busy = total + math.log(bpm), count + 1, busy + (activity or 0.0)
    state.set("open", (slot, total, count, busy, latest))
    return latest


def close(mean: float, state: State) -> float:
    """Take a slot at rest into the ring and the slow level; the score after it."""
    ring, level, weight = state.get("past", ([], USUAL, PRIOR))
    ring = [*ring[1 - RING :], mean]
    away = max(abs(statistics.median(ring[-FAST:]) - level), abs(statistics.median(ring) - level))
    if away < math.log(1.25):
        weight = min(weight + 1, 2160)
        level += (mean - level) / weight
    state.set("past", (ring, level, weight))
    return away


def main() -> None:
    """Run until so many messages were scored."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("broker")
    parser.add_argument("topic")
    parser.add_argument("folder")
    parser.add_argument("count", type=int)
    parser.add_argument("--changelog", action="store_true")
    arguments = parser.parse_args()
    app = Application(
        broker_address=arguments.broker,
        consumer_group=f"quix-{time.time_ns()}",
        auto_offset_reset="earliest",
        state_dir=arguments.folder,
        use_changelog_topics=arguments.changelog,
        consumer_extra_config=FETCH,
        loglevel="ERROR",
    )
    readings = app.dataframe(app.topic(arguments.topic, value_deserializer="json"))
    readings.apply(score, stateful=True)
    app.run(count=arguments.count, timeout=60, collect=False)
    print(time.perf_counter() - Seen.began_s, Seen.messages)


if __name__ == "__main__":
    main()
