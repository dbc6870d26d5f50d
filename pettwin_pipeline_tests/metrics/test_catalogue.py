import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.metrics.catalogue import (
    AtMost,
    Metric,
    OneOf,
    TagValues,
    estimate_series,
    series_of,
    tag_value,
)
from pettwin_pipeline.metrics.definitions import METRICS
from pettwin_pipeline.metrics.page import render_page

REPOSITORY = Path(__file__).resolve().parents[2]
AGREED = REPOSITORY.parent / "shared" / "reference" / "catalogue.md"
TAGS = frozenset(
    (
        *("model_version", "outcome", "reason", "direction", "error.type", "gen_ai.token.type"),
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "detector"),
        *("species", "size", "verdict", "severity", "signal", "channel", "pet_id", "topic"),
        *("consumer_group", "partition", "stage", "component", "job", "status", "asset", "lane"),
        *("peer", "check", "kind", "state", "transport", "family"),
    )
)
"""The words of the document that are tags, not values."""


@pytest.fixture(scope="module")
def agreed() -> str:
    """The catalogue that was agreed on, in words."""
    if not AGREED.exists():
        pytest.skip("the agreed catalogue is not beside the repository: ../shared is absent")
    return AGREED.read_text(encoding="utf-8")


def metric(**tags: TagValues) -> Metric:
    return Metric("a.b", "count", "", tags, "for a test")


def agreed_rows(text: str) -> Iterator[tuple[str, str, bool, str, frozenset[str]]]:
    """Name, type, percentiles, unit and tags of each metric of the table in the document."""
    tags_above: frozenset[str] = frozenset()
    for row in text.partition("## Metrics")[2].partition("## ")[0].splitlines()[3:]:
        if not row.startswith("| "):
            continue
        name_cell, kind_cell, unit_cell, tag_cell, _ = (
            cell.strip() for cell in row.strip("|").split("|")
        )
        names = full_names(name_cell)
        kinds = [kind for kind in kind_cell.split(", ") if kind != "percentiles"]
        units = unit_cell.split(", ")
        cells = tag_cell.split("; ")
        tags = [tags_of(cell) | (tags_above if "the same" in cell else set()) for cell in cells]
        tags_above = tags[0]
        for index, name in enumerate(names):
            yield (
                name,
                kinds[index % len(kinds)],
                "percentiles" in kind_cell,
                units[index % len(units)],
                tags[index % len(tags)],
            )


def full_names(cell: str) -> list[str]:
    names: list[str] = []
    for text in cell.replace("*", "").split(", "):
        prefix = names[0].rpartition(".")[0] if text.startswith(".") else ""
        names.append(prefix + text)
    return names


def tags_of(cell: str) -> frozenset[str]:
    return TAGS.intersection(re.findall(r"[a-z_.]+", cell))


def agreed_set(text: str, tag: str) -> set[str]:
    found = re.search(rf"[;.] {tag} ([a-z_]+(?:, [a-z_]+)+)", text)
    assert found, f"the document names no set for {tag}"
    return set(found[1].split(", "))


def sets_of(tag: str, but: str = "") -> list[TagValues]:
    return [one.tags[tag] for one in METRICS.values() if tag in one.tags and one.name != but]


def test_the_metrics_are_those_agreed_on_with_type_unit_and_tags(agreed: str) -> None:
    ours = {
        (one.name, one.kind, one.percentiles, one.unit, frozenset(one.tags))
        for one in METRICS.values()
    }
    assert ours == set(agreed_rows(agreed))


OURS = {"channel": {"file"}}
"""Values that we have added to what was agreed on."""


@pytest.mark.parametrize(
    "tag",
    ["size", "severity", "signal", "detector", "verdict", "stage", "kind", "channel", "component"],
)
def test_a_set_of_values_is_the_one_agreed_on(agreed: str, tag: str) -> None:
    # the severity of an asset check is Dagster's
    for values in sets_of(tag, but="dagster.asset.checks"):
        assert isinstance(values, OneOf)
        assert set(values.values) == agreed_set(agreed, tag) | OURS.get(tag, set())
        assert not values.folds


def test_outcome_and_reason_of_the_model_are_those_agreed_on(agreed: str) -> None:
    requests = METRICS["vertex.ai.inference.requests"].tags
    assert requests["outcome"] == OneOf(("success", "fallback", "error"))
    assert isinstance(requests["reason"], OneOf)
    assert set(requests["reason"].values) == agreed_set(agreed, "reason")
    assert all(values == AtMost(3, "settings") for values in sets_of("model_version"))


def test_species_are_three_and_all_on_the_quality_gauges_only() -> None:
    for one in METRICS.values():
        species = one.tags.get("species")
        if isinstance(species, OneOf):
            quality = one.kind == "gauge" and one.name.startswith("pet.health.anomaly.")
            expected = {"dog", "cat", "other"} | ({"all"} if quality else set())
            assert set(species.values) == expected, one.name


def test_twelve_partitions_and_lanes_are_tagged_and_the_others_folded() -> None:
    for values in (*sets_of("partition"), *sets_of("lane")):
        assert values == OneOf(tuple(map(str, range(12))), folds=True)


def test_the_pet_id_is_on_one_family_of_gauges_with_fifty_pets_and_the_others() -> None:
    with_pets = {one.name for one in METRICS.values() if "pet_id" in one.tags}
    assert with_pets == {
        f"pet.health.watch.{name}" for name in ("heart_rate", "activity_score", "gait_symmetry")
    }
    assert all(values == AtMost(50, "data") for values in sets_of("pet_id"))


def test_every_latency_is_a_distribution_and_percentiles_are_where_they_are_queried() -> None:
    for one in METRICS.values():
        if one.name.endswith((".latency", ".duration")):
            assert one.kind == "distribution"
    assert {one.name for one in METRICS.values() if one.percentiles} == {
        "vertex.ai.inference.latency",
        "pet.health.heart_rate",
        "kafka.consumer.event_age",
        "kafka.produce.latency",
        "pipeline.stage.latency",
        "pipeline.http.latency",
    }


def test_all_series_together_stay_within_the_budget() -> None:
    assert estimate_series(METRICS.values()) <= 1400


def test_series_are_the_product_of_the_sets() -> None:
    assert series_of(metric()) == 1
    assert series_of(metric(a=OneOf(("x", "y")), b=OneOf(("1", "2", "3")))) == 6
    assert series_of(metric(a=OneOf(("x", "y"), folds=True))) == 3
    assert series_of(metric(a=OneOf(("x", "other"), folds=True))) == 2
    assert series_of(metric(a=OneOf(("x", "y"), optional=True))) == 3
    assert series_of(metric(a=AtMost(4, "settings"))) == 5


def test_a_tag_that_follows_another_counts_for_what_is_folded_only() -> None:
    species = OneOf(("dog", "cat", "other"), follows="pet")
    assert series_of(metric(pet=AtMost(50, "data"), species=species)) == 50 + 3


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Rex", "rex"),
        ("  a b ", "a_b"),
        ("a,b|c#d", "a_b_c_d"),
        ("v1.2:x/y-z", "v1.2:x/y-z"),
        ("Müsli", "müsli"),
        ("", "other"),
        ("x" * 200, "x" * 150),
    ],
)
def test_a_tag_value_is_written_as_datadog_stores_it(text: str, stored: str) -> None:
    assert tag_value(text) == stored


@pytest.mark.parametrize("values", [(), ("a", "a"), ("Dog",), ("a b",), ("",)])
def test_a_closed_set_that_datadog_would_change_cannot_be_declared(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not"):
        OneOf(values)


def test_a_metric_that_cannot_be_kept_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        AtMost(0, "data")
    with pytest.raises(ValueError, match="not a name"):
        Metric("9lives", "count", "", {}, "")
    with pytest.raises(ValueError, match="added by the transport"):
        metric(env=OneOf(("prod",)))
    with pytest.raises(ValueError, match="no percentiles"):
        Metric("a.b", "gauge", "", {}, "", percentiles=True)
    with pytest.raises(ValueError, match="species follows pet"):
        metric(species=OneOf(("dog",), follows="pet"))


def test_the_page_of_metrics_is_current() -> None:
    page = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == render_page(), (
        "docs/metrics.md is not what the catalogue says; write it again with "
        "`.venv/bin/python -m pettwin_pipeline.metrics.page > docs/metrics.md`"
    )


def test_the_page_says_of_each_metric_what_may_be_queried() -> None:
    rows = {row.split("`")[1]: row for row in render_page().splitlines() if row.startswith("| `")}
    assert set(rows) == set(METRICS)
    assert rows["kafka.consumer.event_age"] == (
        "| `kafka.consumer.event_age` | distribution, percentiles | second | "
        "`topic`: at most 2 values from the settings, then other<br>"
        "`consumer_group`: at most 1 value from the settings, then other | "
        "now minus event time at processing | 6 |"
    )
