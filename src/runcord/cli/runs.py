"""`runcord runs` and `runcord jobs`: what the server says of them, over HTTP."""

import json
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.text import Text

from runcord.cli.arguments import At, Position, entries, time_of
from runcord.cli.connection import connected
from runcord.cli.output import Format, cell, console, json_line, print_facts, print_json, print_rows
from runcord.cli.state import StateDir

if TYPE_CHECKING:
    from pydantic import BaseModel

    from runcord.client import HistoryEvent, StreamEvent

runs = typer.Typer(help="Look at runs, as they are and as they were.", no_args_is_help=True)
jobs = typer.Typer(help="Look at jobs.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The id of the run.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many, at most.")]

_RUN = ("id", "job_slug", "status", "attempt", "priority", "created_at", "finished_at")
_JOB = ("id", "slug", "version", "enabled", "max_attempts", "timeout_secs", "max_concurrency", "updated_at")


@runs.command("list")
def list_runs(
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only runs in this status; may be given several times.")
    ] = None,
    job_id: Annotated[str | None, typer.Option("--job", metavar="JOB_ID", help="Only runs of this job.")] = None,
    batch_id: Annotated[
        str | None, typer.Option("--batch", metavar="BATCH_ID", help="Only runs of this batch.")
    ] = None,
    triggered_by: Annotated[
        str | None, typer.Option("--triggered-by", metavar="CAUSE", help="Only runs that came about like this.")
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="Only runs with this tag; may be given several times."),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="KEY=VALUE", help="Only runs with this entry; may be given several times."),
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option("--payload-contains", metavar="JSON", help="Only runs whose payload contains this JSON."),
    ] = None,
    position: Position = None,
    at: At = None,
    limit: Limit = 50,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """List runs, newest first; all filters given must hold. With a position or a time, those of then, as they were."""
    filters: dict[str, Any] = {
        "statuses": status or None,
        "job_id": job_id,
        "batch_id": batch_id,
        "triggered_by": triggered_by,
        "tags": entries("--tag", tags),
        "metadata": entries("--metadata", metadata),
        "payload_contains": _json("--payload-contains", payload),
        "position": position,
        "at": time_of(at),
    }
    with connected(state_dir) as client:
        found = _rows(islice(client.runs.list(page_size=min(limit, 100), **filters), limit))
    print_rows(found, _RUN, format, empty="There are no such runs.")


@runs.command("show")
def show_run(
    run_id: RunId,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="As it was after its N-th event.", metavar="N")
    ] = None,
    position: Position = None,
    at: At = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Show a run as it is, or as it was at any version, position or time."""
    with connected(state_dir) as client:
        run = client.runs.get(run_id, version=version, position=position, at=time_of(at))
    print_facts(run.model_dump(mode="json", exclude_unset=True), format)


@runs.command("at")
def show_run_at(
    moment: Annotated[
        str,
        typer.Argument(metavar="TIME|POSITION", help="`2026-01-31T12:00:00Z`, or a position of the ledger: `1234`."),
    ],
    run_id: RunId,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Show a run as it was at a time, or when the ledger was at a position."""
    position = int(moment) if moment.isascii() and moment.isdigit() else None
    show_run(run_id, None, position, moment if position is None else None, format, state_dir)


@runs.command("history")
def show_history(
    run_id: RunId,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type, such as run.retried; repeat for more.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Only what this actor has caused, such as apikey:key_….")
    ] = None,
    request_id: Annotated[
        str | None, typer.Option("--request", help="Only what came of the request with this X-Request-ID.")
    ] = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Print what was recorded of a run, event by event, oldest first: who did what, when, in which request."""
    with connected(state_dir) as client:
        events = client.runs.history(run_id, types=types or (), actor=actor, request_id=request_id)
        if format == "json":
            print_json(_rows(events))
            return
        for event in events:
            _print_event(event)


@runs.command("diff")
def show_diff(
    run_id: RunId,
    since: Annotated[
        int | None, typer.Argument(metavar="[FROM]", help="A version; 0 is before there was a run.")
    ] = None,
    to: Annotated[int | None, typer.Argument(metavar="[TO]", help="A version; the present one when missing.")] = None,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Show what the events between two versions made of a run; without versions, what the last one did."""
    with connected(state_dir) as client:
        found = client.runs.diff(run_id, since=since, to=to)
    if format == "json":
        print_json(found.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return
    console.print(f"version {found.before} → {found.after}: {', '.join(found.events)}", markup=False)
    for change in found.changes:
        console.print(Text(f"  {change.text}"))


@runs.command("watch")
def watch_run(
    run_id: RunId,
    after: Annotated[int, typer.Option("--after", min=0, help="Begin after this position.", metavar="N")] = 0,
    chunks: Annotated[bool, typer.Option("--chunks", help="Print what its workers stream instead.")] = False,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Follow a run until it is finished: everything that was recorded of it, then what is, as it happens."""
    with connected(state_dir) as client:
        if chunks:
            for chunk in client.runs.stream_chunks(run_id, after=after):
                typer.echo(json_line(chunk) if format == "json" else chunk.chunk, nl=format == "json")
            return
        for event in client.runs.stream(run_id, after=after):
            if format == "json":
                typer.echo(json_line(event))
            else:
                _print_followed(event)


@jobs.command("list")
def list_jobs(limit: Limit = 50, format: Format = "text", state_dir: StateDir = None) -> None:
    """List jobs, newest first."""
    with connected(state_dir) as client:
        found = _rows(islice(client.jobs.list(page_size=min(limit, 100)), limit))
    print_rows(found, _JOB, format, empty="There are no jobs.")


def _json(option: str, given: str | None) -> Any:
    """Return the value of a JSON argument."""
    if given is None:
        return None
    try:
        value = json.loads(given)
    except ValueError as error:
        raise typer.BadParameter(f"not valid JSON: {error}", param_hint=option) from None
    if value is None:
        raise typer.BadParameter("no payload is null: leave it out", param_hint=option)
    return value


def _rows(models: "Iterable[BaseModel]") -> list[dict[str, Any]]:
    return [model.model_dump(mode="json", exclude_unset=True) for model in models]


def _print_followed(event: "StreamEvent") -> None:
    """Print a line for what happened just now."""
    line = Text()
    line.append(f"{event.position:>6}  ", style="bold")
    line.append(f"{cell(event.timestamp)}  ", style="dim")
    if event.type == "event":
        line.append(f"{event.event_type}  ", style="cyan")
        line.append(event.message or cell(event.data))
    else:
        line.append(event.event_type, style="cyan")
        if event.type == "status_change":
            line.append(f"  {event.from_status or 'new'} → {event.to}")
        if event.error is not None:
            line.append(f"  {event.error}", style="red")
    console.print(line, soft_wrap=True)


def _print_event(event: "HistoryEvent") -> None:
    """Print a line for what happened, and one for each fact of it."""
    line = Text()
    line.append(f"{event.version:>4}  ", style="bold")
    line.append(f"{cell(event.recorded_at)}  ", style="dim")
    line.append(event.type, style="cyan")
    line.append(f"  by {cell(event.actor)}, position {event.position}", style="dim")
    console.print(line, soft_wrap=True)
    data: object = event.data
    facts = cast("dict[str, Any]", data) if isinstance(data, dict) else {"data": data}
    for name, value in facts.items():
        if value is not None:
            console.print(Text(f"      {name}: {cell(value)}"), soft_wrap=True)
