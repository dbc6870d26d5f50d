"""`pettwin`: the verbs, their options, and how a command ends.

A verb's work is in `commands/`, imported when the verb is used: `pettwin --help` must be quick.
What a person can mend is one line on standard error and exit code 2, or 1 where work had begun.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pettwin_pipeline.cli_upkeep import app as upkeep_app
from pettwin_pipeline.errors import PettwinError, SettingsError

app = typer.Typer(
    name="pettwin",
    help="A streaming health pipeline for pets, with observability as code.",
    epilog="Settings are environment variables or lines in .env: `pettwin settings` lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(upkeep_app)
topics_app = typer.Typer(help="The topics on the broker.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
query_app = typer.Typer(help="Datadog's queries.", no_args_is_help=True)
app.add_typer(query_app, name="query")


BrokerChoice = Literal["embedded", "kafka"]
OnePart = Literal["datadog"]
InputFormat = Literal["auto", "heartbeats", "csv", "ndjson"]
Columns = Annotated[
    str, typer.Option("--map", help="Our field = their column: heart_rate=bpm,pet_id=dog,...")
]
PetOfFile = Annotated[str | None, typer.Option(help="The pet, where a file has no column for it.")]


def main() -> None:
    """Run the command line, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        app(arguments, prog_name="pettwin")
    except PettwinError as error:
        typer.echo(f"pettwin: {error}", err=True)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(f"pettwin: {error.filename}: {error.strerror}", err=True)
        return PettwinError.exit_code
    except SystemExit as done:  # typer ends every command so, usage errors and Ctrl-C included
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        from pettwin_pipeline import __version__

        typer.echo(f"pettwin {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and end.")
    ] = False,
) -> None:
    """A streaming health pipeline for pets, with observability as code."""
    del version


@app.command()
def up(
    *,
    broker: Annotated[
        BrokerChoice | None,
        typer.Option(
            help="embedded: inside this process, for trying things out. kafka: a real Apache "
            "Kafka (Java 17 and Maven). Default: embedded, or KAFKA_BOOTSTRAP_SERVERS."
        ),
    ] = None,
    dagster: Annotated[
        bool, typer.Option("--dagster", help="Run Dagster too: code server, daemon, pages.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of Dagster's pages.")] = 3000,
    only: Annotated[
        OnePart | None,
        typer.Option(
            help="datadog: the local Datadog alone, on 8282 and 8125 (DogStatsD), or free ports."
        ),
    ] = None,
    dogstatsd_socket: Annotated[
        Path | None,
        typer.Option(help="With --only datadog: a unix socket for DogStatsD, beside UDP."),
    ] = None,
) -> None:
    """Run the local parts of the stack, supervised, until Ctrl-C."""
    if only is not None:
        from pettwin_pipeline.commands import local_datadog

        if dagster or broker:
            raise SettingsError(
                f"--only {only} runs nothing else: leave --broker and --dagster out"
            )
        local_datadog.run(typer.echo, dogstatsd_socket)
        return
    if dogstatsd_socket is not None:
        raise SettingsError("--dogstatsd-socket goes with --only datadog")
    from pettwin_pipeline.commands import up as command

    command.run(broker, dagster=dagster, port=port, say=typer.echo)


@app.command()
def demo(
    *,
    broker: Annotated[
        BrokerChoice, typer.Option(help="The local broker that the demo starts.")
    ] = "embedded",
    pets: Annotated[int, typer.Option(min=1, help="Simulated pets beside the recorded dogs.")] = 40,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything up with Dagster's pages, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the pages, with --keep.")] = 3000,
) -> None:
    """Recorded hearts through Kafka, Dagster and detection to alerts, in about a minute.

    Runs on local parts only, whatever the settings name, in a state folder of its own. Exit code 0
    only if everything that went in came out.
    """
    from pettwin_pipeline.commands import demo as command

    ui_port = port if keep else None
    raise typer.Exit(command.run(broker, pets=pets, ui_port=ui_port, say=typer.echo))


@app.command()
def simulate(
    *,
    pets: Annotated[int, typer.Option(min=1, max=1_000_000, help="Size of the fleet.")] = 20,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=10_000_000, help="Event time to simulate.")
    ] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and --start, same bytes.")] = 1,
    ill_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pets that fall ill.")
    ] = 0.1,
    onset: Annotated[
        tuple[float, float], typer.Option(help="Earliest and latest onset, hours after the start.")
    ] = (2.0, 24.0),
    courses: Annotated[
        float, typer.Option(min=1, max=1000, help="Illnesses pass this many times faster.")
    ] = 1.0,
    every: Annotated[
        float, typer.Option(max=60, help="Seconds between two readings of a pet.")
    ] = 2.0,
    speed: Annotated[
        float, typer.Option(min=0, help="Event time against the clock; 0: as fast as possible.")
    ] = 1.0,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="Readings a second of the whole fleet, instead of --speed."),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(help="Event time of the first reading (UTC). Default: it ends now."),
    ] = None,
    noise: Annotated[
        float, typer.Option(min=0, help="How often confounders and sensor faults come, a factor.")
    ] = 1.0,
    out: Annotated[
        str | None, typer.Option(help="Write NDJSON to this file, - for stdout, not to Kafka.")
    ] = None,
) -> None:
    """Simulate a fleet of pets: readings to Kafka, and the truth to the topic of labels."""
    from pettwin_pipeline.commands import simulate as command

    plan = command.Plan(
        pets=pets,
        minutes=minutes,
        seed=seed,
        ill_share=ill_share,
        every_s=every,
        speed=rate * every / pets if rate else speed,
        start=start.replace(tzinfo=start.tzinfo or UTC) if start else None,
        onset_h=onset,
        courses=courses,
        noise=noise,
    )
    if out is None:
        command.run(plan, typer.echo)
    else:
        command.write(plan, out, typer.echo)


@app.command()
def replay(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="CSV, NDJSON or recorded heart beats. Default: the packaged dogs."),
    ] = None,
    *,
    file_format: Annotated[
        InputFormat, typer.Option("--format", help="auto: by the file's name and first line.")
    ] = "auto",
    columns: Columns = "",
    pet_id: PetOfFile = None,
    episodes: Annotated[
        bool,
        typer.Option("--episodes", help="Inject a documented episode every 30 min (heart beats)."),
    ] = False,
    speed: Annotated[
        float, typer.Option(min=0, help="Event time against the clock; 0: as fast as possible.")
    ] = 0.0,
    keep_times: Annotated[
        bool,
        typer.Option(
            "--keep-times",
            help="Leave event times, else the last is of the last 5 minutes. Kafka keeps messages "
            "by them.",
        ),
    ] = False,
) -> None:
    """Publish recorded sessions, or files of your own, as readings."""
    from pettwin_pipeline.commands import replay as command
    from pettwin_pipeline.commands.user_files import parse_mapping

    plan = command.Plan(
        files=tuple(files or ()),
        file_format=file_format,
        mapping=parse_mapping(columns),
        pet_id=pet_id,
        episodes=episodes,
        speed=speed,
        keep_times=keep_times,
    )
    command.run(plan, typer.echo)


@app.command()
def backtest(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="CSV, NDJSON, Parquet or heart beats.")
    ],
    *,
    out: Annotated[
        str,
        typer.Option(help="Folder of the results; of several inputs, each in a folder inside it."),
    ],
    signal: Annotated[
        Literal["vitals", "generic"],
        typer.Option(help="vitals: the signals of a pet. generic: a column `value` of anything."),
    ] = "vitals",
    columns: Columns = "",
    pet_id: PetOfFile = None,
) -> None:
    """Run the detection of the stream over files of your own: scores, episodes, a picture."""
    from pettwin_pipeline.commands import backtest as command
    from pettwin_pipeline.commands.user_files import parse_mapping

    plan = command.Plan(tuple(inputs), out, signal, parse_mapping(columns), pet_id)
    raise typer.Exit(command.run(plan, typer.echo))


@app.command()
def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show services, lanes, lag, attempts, the last error and what was found."""
    from pettwin_pipeline.commands import status as command
    from pettwin_pipeline.settings import Settings

    found = command.gather(Settings.load())
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        command.show(found, typer.echo)
    if found["broker_error"]:
        typer.echo(f"pettwin: {found['broker_error']}", err=True)
        raise typer.Exit(PettwinError.exit_code)


@app.command()
def settings() -> None:
    """List every setting, its value and what is allowed; secrets are not shown."""
    from pettwin_pipeline.commands import settings as command

    command.run(typer.echo)


@topics_app.command("create")
def topics_create(
    *,
    partitions: Annotated[int, typer.Option(min=1, help="Of the topic of readings.")] = 6,
    replication: Annotated[
        int, typer.Option(help="Copies of each partition; -1: the broker's default.")
    ] = -1,
) -> None:
    """Make the topics that are missing: readings, alerts, labels, dead letters."""
    from pettwin_pipeline.commands import topics as command

    command.run(partitions, replication, typer.echo)


@query_app.command("check")
def query_check(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Absent or -: standard input.")
    ] = None,
) -> None:
    """Check Datadog queries, one a line: KIND, a tab, QUERY.

    KIND is metric, formula (any names may stand for queries) or a type of monitor such as "query
    alert"; a line without a tab is a metric query. Prints a line for each: ok, or error at COLUMN
    and what is wrong there. A blank line is no query and stays blank. Exit code 1 if any failed.
    """
    from pettwin_pipeline.commands import query as command

    raise typer.Exit(command.check(file, typer.echo))


if __name__ == "__main__":
    main()
