import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.readings.simulator import Label, encode_label, parse_label

MOMENTS = st.integers(0, 4_000_000_000_000)
TEXT = st.text(min_size=1, max_size=50)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    start = draw(MOMENTS)
    later = st.none() | st.integers(start, start + 10**9)
    return Label(
        label_id=draw(TEXT),
        pet_id=draw(TEXT),
        kind=draw(st.sampled_from(["illness", "confounder", "sensor_fault", "healthy"])),
        name=draw(TEXT),
        start_ms=start,
        end_ms=draw(later),
        half_effect_ms=draw(later),
        visible_ms=draw(later),
        severity=draw(st.floats(0, 1)),
    )


@given(labels())
def test_what_is_encoded_parses_to_itself(label: Label) -> None:
    assert parse_label(encode_label(label)) == label


@given(st.binary() | st.none())
def test_any_bytes_are_a_label_or_a_text(message: bytes | None) -> None:
    assert isinstance(parse_label(message), Label | str)


GOOD = (
    '{"label_id":"a","pet_id":"p","kind":"illness","name":"fever","start_ms":10'
    ',"end_ms":20,"severity":0.5}'
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"kind":"illness"', '"kind":"sick"', "kind"),
        ('"start_ms":10', '"start_ms":30', "end_ms lies before start_ms"),
        ('"start_ms":10', '"start_ms":-1', "start_ms"),
        ('"severity":0.5', '"severity":1.5', "severity"),
        ('"severity":0.5', '"severity":NaN', "invalid"),
        ('"severity":0.5', '"schema_version":2', "schema_version"),
        ('"pet_id":"p"', '"pet_id":""', "pet_id"),
        ('"pet_id":"p",', "", "pet_id"),
    ],
)
def test_a_wrong_label_is_refused_with_what_is_wrong(old: str, new: str, said: str) -> None:
    assert isinstance(parse_label(GOOD.encode()), Label)
    refused = parse_label(GOOD.replace(old, new).encode())
    assert isinstance(refused, str)
    assert said in refused


def test_a_field_of_a_later_release_is_no_reason_to_refuse() -> None:
    assert isinstance(parse_label(GOOD.replace("{", '{"vet":"Dr. No",', 1).encode()), Label)
