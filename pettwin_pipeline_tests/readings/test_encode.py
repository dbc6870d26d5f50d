import json
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.readings.decode import decode_batch
from pettwin_pipeline.readings.encode import CHUNK, encode_readings
from pettwin_pipeline.readings.schema import READING_SCHEMA
from pettwin_pipeline.readings.simulator import Fleet, simulate
from pettwin_pipeline_tests.readings.strategies import NOON_MS, at_offsets, frame_of, rows


def test_a_message_has_what_the_reading_has_and_no_more() -> None:
    row = {"pet_id": 'the "cat"', "time_ms": NOON_MS + 7, "heart_rate": 131.0, "battery": None}
    (message,) = encode_readings(frame_of([row]))
    assert json.loads(message) == {
        "pet_id": 'the "cat"',
        "timestamp": "2026-03-01T12:00:00.007Z",
        "heart_rate": 131.0,
        "schema_version": 1,
    }


def test_metadata_is_written_as_it_came() -> None:
    metadata = '{ "a":[1.50, "\\u00e9"] }'
    row = {"pet_id": "p", "time_ms": NOON_MS, "heart_rate": 60.0, "metadata": metadata}
    (message,) = encode_readings(frame_of([row]))
    assert message.endswith(b'"metadata":' + metadata.encode() + b"}")


def test_columns_that_are_not_there_are_not_needed() -> None:
    few = pl.DataFrame({"time_ms": [0], "pet_id": ["p"], "gait_symmetry": [0.5]})
    (message,) = encode_readings(few)
    assert json.loads(message)["timestamp"] == "1970-01-01T00:00:00.000Z"
    assert json.loads(message)["gait_symmetry"] == 0.5
    assert encode_readings(few.clear()) == []


@settings(deadline=None, max_examples=100)
@given(st.lists(rows(), max_size=5))
def test_what_is_encoded_decodes_to_itself(some: list[dict[str, Any]]) -> None:
    readings = frame_of(some)
    decoded = decode_batch(**at_offsets(encode_readings(readings)))
    assert decoded.rejects == []
    assert decoded.readings.equals(readings)


def test_simulated_readings_decode_to_themselves_in_their_order() -> None:
    fleet = Fleet.draw(80, 4)
    (chunk,) = simulate(fleet, NOON_MS, 90.0, seed=1, chunk_s=90.0, fault_rate=0)
    assert len(chunk.readings) > CHUNK
    decoded = decode_batch(**at_offsets(encode_readings(chunk.readings)))
    assert decoded.rejects == []
    assert decoded.readings.select(chunk.readings.columns).equals(chunk.readings)
    assert set(chunk.readings.columns) <= set(READING_SCHEMA)
