"""`runcord events`: the ledger, event by event."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from runcord.cli.arguments import entries
from runcord.cli.connection import connected
from runcord.cli.output import Format, cell, console, json_line
from runcord.cli.state import StateDir

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runcord.client import LedgerEvent


def list_events(
    after: Annotated[int, typer.Option("--after", min=0, metavar="N", help="Begin after this position.")] = 0,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type: `run.retried`; may be given several times.")
    ] = None,
    run_id: Annotated[str | None, typer.Option("--run", metavar="RUN_ID", help="Only events of this run.")] = None,
    job: Annotated[str | None, typer.Option("--job", help="Only events of this job (id or slug) and its runs.")] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="KEY:VALUE", help="Only events of runs with this tag; may be given several times."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="How many, at most.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is recorded, as it happens.")] = False,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Print the ledger: everything that was recorded in the project, in order; as JSON, a line for each event."""
    choice: dict[str, Any] = {
        "after": after,
        "types": types or (),
        "run_id": run_id,
        "job": job,
        "tags": entries("--tag", tags) or None,
    }
    with connected(state_dir) as client:
        events: Iterable[LedgerEvent] = client.ledger.follow(**choice) if follow else client.ledger.events(**choice)
        for event in islice(events, limit):
            if format == "json":
                typer.echo(json_line(event))
            else:
                _print(event)


def _print(event: "LedgerEvent") -> None:
    line = Text()
    line.append(f"{event.position:>8}  ", style="bold")
    line.append(f"{cell(event.recorded_at)}  ", style="dim")
    line.append(f"{event.type}  ", style="cyan")
    line.append(event.stream_id)
    line.append(f"  by {cell(event.actor)}", style="dim")
    console.print(line, soft_wrap=True)
