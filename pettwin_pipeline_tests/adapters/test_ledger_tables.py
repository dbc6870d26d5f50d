"""How a ledger is opened: tables by migrations, one format, one line for what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pettwin_pipeline.adapters import ledger_tables, migrations
from pettwin_pipeline.adapters.ledger import open_ledger
from pettwin_pipeline.adapters.ledger_tables import HEAD, open_engine
from pettwin_pipeline.errors import PettwinError, UnknownFormatError
from pettwin_pipeline_tests.adapters.ledgers import requested, status, url


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    with open_engine(url(tmp_path)).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, ledger_tables.metadata) == []
        assert context.get_current_revision() == HEAD


def test_the_newest_migration_is_the_format_of_this_release() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == HEAD


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    first = open_ledger(url(tmp_path))
    record = requested(first, (0, 0, 10))
    again = open_ledger(url(tmp_path))
    assert status(again, record) == ("requested", 1)


def test_a_new_folder_is_made_for_it(tmp_path: Path) -> None:
    open_engine(url(tmp_path / "not" / "there")).dispose()
    assert (tmp_path / "not" / "there" / "ledger.sqlite").is_file()


def test_processes_that_open_a_new_ledger_at_once_all_can(tmp_path: Path) -> None:
    program = "import sys; from pettwin_pipeline.adapters.ledger import open_ledger as o;"
    program += "print(o(sys.argv[1]).outcomes.count_alerts())"
    command = [sys.executable, "-c", program, url(tmp_path)]
    opening = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    assert [one.communicate()[0].strip() for one in opening] == ["{}"] * 3


def set_format(folder: Path, version: str) -> None:
    engine = open_engine(url(folder))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    engine.dispose()


def test_a_ledger_of_a_newer_release_is_refused_with_both_formats(tmp_path: Path) -> None:
    set_format(tmp_path, "0099")
    with pytest.raises(UnknownFormatError, match=rf"format 0099.*up to {HEAD}.*upgrade"):
        open_engine(url(tmp_path))


def test_a_format_that_no_release_had_is_refused(tmp_path: Path) -> None:
    set_format(tmp_path, "0000")
    with pytest.raises(UnknownFormatError, match="format 0000"):
        open_engine(url(tmp_path))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("ledger.sqlite", "PETTWIN_LEDGER_URL: "),
        ("nosuch://host/db", "PETTWIN_LEDGER_URL: nosuch does not keep a ledger; allowed: sqlite"),
        ("mysql://host/db", "PETTWIN_LEDGER_URL: mysql does not keep a ledger; allowed: sqlite"),
        ("sqlite+nosuch:///x", "PETTWIN_LEDGER_URL: "),
    ],
)
def test_a_wrong_url_is_an_error_in_one_line(wrong: str, told: str) -> None:
    with pytest.raises(PettwinError) as caught:
        open_engine(wrong)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_url_never_shows_its_password() -> None:
    for wrong in ("postgresql://me:s3cret@127.0.0.1:1/db", "mysql://me:s3cret@host/db", "//s3cret"):
        with pytest.raises(PettwinError) as caught:
            open_engine(wrong)
        assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("this is a shopping list, not a database\n" * 100)
    with pytest.raises(PettwinError, match="does not answer: file is not a database") as caught:
        open_engine(url(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PettwinError, match=r"PETTWIN_LEDGER_URL: .*file") as caught:
        open_engine(url(tmp_path / "file" / "below"))
    assert "\n" not in str(caught.value)


def test_a_folder_in_place_of_the_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(PettwinError, match="unable to open database file"):
        open_engine(url(tmp_path))


def test_a_ledger_of_the_first_format_is_brought_up_to_date_with_what_is_in_it(
    tmp_path: Path,
) -> None:
    record = requested(open_ledger(url(tmp_path)), (0, 0, 10))
    engine = open_engine(url(tmp_path))
    with engine.begin() as connection:
        for table in ("labels", "label_days", "qualities"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("ALTER TABLE episodes DROP COLUMN told_ms")
    engine.dispose()
    set_format_as_it_was(tmp_path, "0001")
    ledger = open_ledger(url(tmp_path))
    assert status(ledger, record) == ("requested", 1)
    assert ledger.labels.between(0, 2**52) == []


def set_format_as_it_was(folder: Path, version: str) -> None:
    """As `set_format`, without opening the ledger, which would bring it up to date."""
    engine = sa.create_engine(url(folder).replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    engine.dispose()
