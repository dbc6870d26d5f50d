from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.readings.timestamps import (
    EARLIEST_MS,
    LATEST_MS,
    parse_timestamp,
    parse_timestamps,
    render_timestamp,
)

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS)  # noqa: DTZ001
NEARLY = st.from_regex(
    r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
    r"(\.[0-9]{0,11})?(Z|[+-][0-2][0-9]:[0-6][0-9])\Z"
)


@settings(deadline=None)
@given(MOMENTS)
def test_a_moment_is_cut_to_its_millisecond(moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_timestamp(moment.isoformat()) == expected


@settings(deadline=None, max_examples=300)
@given(st.lists(NEARLY | MOMENTS.map(datetime.isoformat) | st.text(max_size=30), max_size=6))
def test_a_column_is_parsed_as_its_texts_are(texts: list[str]) -> None:
    found = parse_timestamps(pl.Series("timestamp", texts, dtype=pl.String))
    assert found.to_list() == [parse_timestamp(text) for text in texts]
    assert found.dtype == pl.Int64


@given(st.integers(EARLIEST_MS, LATEST_MS))
def test_what_is_rendered_parses_to_itself(time_ms: int) -> None:
    assert parse_timestamp(render_timestamp(time_ms)) == time_ms


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59.999-00:01",
        "2026-04-31T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-03-01T12:00:00+24:00",
        "2026-03-01T12:00:00+01:60",
        "2026-03-01T12:00:00.Z",
        "2026-03-01T12:00:00Z ",
        "2026-03-01T12:00:00Z\n",
        "20260301T120000Z",
        "2026-W09-7T12:00:00Z",
    ],
)
def test_what_is_no_moment_is_none(text: str) -> None:
    assert parse_timestamp(text) is None
    assert parse_timestamps(pl.Series([text])).to_list() == [None]


def test_a_text_without_an_offset_is_a_moment_only_when_asked() -> None:
    assert parse_timestamp("2000-02-29 00:00") is None
    assert parse_timestamp("2000-02-29 00:00", naive_is_utc=True) == 951_782_400_000
