"""`pettwin settings`: every setting is there, and no secret."""

from pathlib import Path

import pytest

from pettwin_pipeline.cli import run
from pettwin_pipeline.commands.settings import render_value
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.commands.place import enter

SECRET = "not-for-your-eyes"  # noqa: S105
GIVEN = {
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": SECRET,
    "DD_API_KEY": SECRET,
    "DD_APP_KEY": SECRET,
    "GEMINI_API_KEY": SECRET,
    "PETTWIN_LEDGER_URL": f"postgresql://me:{SECRET}@db/pettwin",
    "PETTWIN_DATA_URL": f"s3://me:{SECRET}@bucket/data",
    "PETTWIN_WEBHOOK_URL": f"http://localhost/{SECRET}",
    "PETTWIN_WEBHOOK_SECRET": SECRET,
    "DD_SITE": "datadoghq.eu",
}


@pytest.fixture
def shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What is printed where everything secret is set."""
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("COLUMNS", "250")
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    assert run(["settings"]) == 0
    return capsys.readouterr().out


def test_every_setting_is_there_with_its_meaning(shown: str) -> None:
    for name, field in Settings.model_fields.items():
        (line,) = [one for one in shown.splitlines() if one.startswith(f"{name.upper()} ")]
        assert str(field.description) in line


def test_values_and_choices_are_shown(shown: str) -> None:
    (site,) = [one for one in shown.splitlines() if one.startswith("DD_SITE ")]
    assert site.split()[1] == "datadoghq.eu"
    assert "us5.datadoghq.com" in site, "what is allowed"
    assert "kafka (none): no broker" in shown


def test_no_secret_is_shown(shown: str) -> None:
    assert SECRET not in shown
    assert shown.count("(secret)") >= len([one for one in GIVEN.values() if SECRET in one])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (5, "5"),
        ("https://host:8080/x@y", "https://host:8080/x@y"),
        ("s3://bucket/data", "s3://bucket/data"),
        ("s3://key:a:b@bucket", "s3://key:(secret)@bucket"),
    ],
)
def test_a_value_is_shown_without_the_password_in_it(value: object, text: str) -> None:
    assert render_value(value) == text
