"""Verbs for who looks after a pipeline: ranges that failed, letters that come back, pets that move.

Their work is in `commands/`, imported when the verb is used; `cli` adds them to its own.
"""

from datetime import UTC, datetime
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def skip(
    offsets: Annotated[
        str, typer.Argument(metavar="RANGE", help="As `pettwin status` shows it: 0:100-200,1:5-9.")
    ],
    *,
    reason: Annotated[str, typer.Option(help="Why these readings are never scored; kept.")],
) -> None:
    """Go on behind a range that failed: what lies in it is never scored, and counted."""
    from pettwin_pipeline.commands import lanes as command

    command.skip(offsets, reason, typer.echo)


@app.command()
def unpark(
    lane: Annotated[int | None, typer.Argument(help="Absent: every parked lane.")] = None,
) -> None:
    """Try the range of a parked lane again, once the cause is mended."""
    from pettwin_pipeline.commands import lanes as command

    command.unpark(lane, typer.echo)


@app.command()
def redrive(
    *,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Only letters with this reason, as `too_old`; may be given repeatedly."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only what became a dead letter then or later (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Only what became a dead letter before (UTC).")
    ] = None,
    pet: Annotated[str | None, typer.Option(help="Only letters with this key.")] = None,
    most: Annotated[int | None, typer.Option(min=1, help="Send back so many at the most.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count, show examples, send nothing.")
    ] = False,
    restamp: Annotated[
        bool,
        typer.Option(
            "--restamp",
            help="Stamp with the time of sending. Default: the original Kafka timestamp, against "
            "which age is judged, and by which Kafka removes what is older than it keeps.",
        ),
    ] = False,
) -> None:
    """Send dead letters back to the topic of readings, once what kept them out is mended.

    Each to the partition that it came from, with its original key, bytes and timestamp. What is not
    chosen stays and can be sent back later; on Kafka nothing is sent back twice. Tombstones, copies
    that a failed attempt left, and what an erased pet left hold nothing to send. A reading that its
    pet has gone past meanwhile is late: kept, not scored.
    """
    from pettwin_pipeline.commands import redrive as command

    plan = command.Plan(
        reasons=tuple(reason or ()),
        since=since and since.replace(tzinfo=since.tzinfo or UTC),
        until=until and until.replace(tzinfo=until.tzinfo or UTC),
        pet=pet,
        most=most,
        dry_run=dry_run,
        restamp=restamp,
    )
    command.run(plan, typer.echo)


@app.command()
def repartition(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which pets would move; change nothing.")
    ] = False,
) -> None:
    """Bring what was learnt of each pet to the partition where its readings come now.

    For after partitions were added to the topic: a pet that comes to another one begins anew there
    until this is run. Waits for the runs under way; the stream goes on afterwards.
    """
    from pettwin_pipeline.commands import pets as command

    command.repartition(typer.echo, dry_run=dry_run)


@app.command()
def erase(
    pet_id: Annotated[str, typer.Argument(metavar="PET", help="Its id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a pet: its readings, baselines, episodes, verdicts and alerts. There is no way back."""
    from pettwin_pipeline.commands import pets as command

    if not yes:
        typer.confirm(f"erase everything that is kept of {pet_id}?", abort=True)
    command.erase(pet_id, typer.echo)
