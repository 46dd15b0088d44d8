"""`runcord projections`: read models, rebuilt beside what is read, compared, and switched to."""

import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from runcord.cli.connection import connected
from runcord.cli.output import Format, console, errors, print_facts, print_rows
from runcord.cli.state import StateDir
from runcord.errors import Conflict

if TYPE_CHECKING:
    from runcord.client import Client, Projection

projections = typer.Typer(help="Look at projections, rebuild them, and switch.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the projection.")]

_COLUMNS = ("name", "generation", "status", "position", "behind", "progress", "parked_at", "error")
_POLL_SECS = 0.3


@projections.command("list")
def list_projections(format: Format = "text", state_dir: StateDir = None) -> None:
    """List projections, each generation with how far it is; exits with 1 if one cannot take an event."""
    with connected(state_dir) as client:
        found = list(client.projections.list())
    if format == "json":
        print_rows([one.model_dump(mode="json", exclude_unset=True) for one in found], (), format, empty="")
    else:
        print_rows([row for one in found for row in _rows(one)], _COLUMNS, format, empty="There are no projections.")
    if any(generation.parked_at is not None for one in found for generation in one.generations):
        raise typer.Exit(1)


@projections.command("rebuild")
def rebuild(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="The names of projections.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All projections.")] = False,
    switch: Annotated[bool, typer.Option("--switch", help="Have what was built take over when it is ready.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ready.")] = True,
    state_dir: StateDir = None,
) -> None:
    """Build projections anew from the first event on, while everything goes on; what is read stays until `switch`."""
    if bool(names) == everything:
        raise typer.BadParameter("name projections, or say --all", param_hint="NAME")
    with connected(state_dir) as client:
        chosen = names or [one.name for one in client.projections.list()]
        begun = {name: client.projections.rebuild(name, switch=switch).generation for name in chosen}
        if wait:
            _wait(client, begun)
    for name, generation in begun.items():
        state = f"generation {generation} is {'ready' if wait else 'building'}"
        console.print(f"{name}: {'rebuilt and switched to' if switch and wait else state}", soft_wrap=True)


@projections.command("compare")
def compare(name: Name, format: Format = "text", state_dir: StateDir = None) -> None:
    """Compare what was rebuilt with what is read, byte for byte, at one position. Exits with 1 if they differ."""
    with connected(state_dir) as client:
        found = client.projections.compare(name)
    print_facts(found.model_dump(mode="json", exclude_unset=True), format)
    if not found.equal:
        raise typer.Exit(1)


@projections.command("switch")
def switch(name: Name, state_dir: StateDir = None) -> None:
    """Have what was rebuilt take over; what was read before is kept until it is dropped."""
    with connected(state_dir) as client:
        client.projections.switch(name)
    console.print(f"{name}: what was rebuilt is live", soft_wrap=True)


@projections.command("drop")
def drop(
    name: Name,
    generation: Annotated[
        int | None,
        typer.Option("--generation", metavar="N", min=1, help="Which; needed if several are not live."),
    ] = None,
    state_dir: StateDir = None,
) -> None:
    """Drop a generation that is not live; its rows go in the background."""
    with connected(state_dir) as client:
        dropped = client.projections.drop(name, generation)
    console.print(f"{name}: generation {dropped.generation} is {dropped.status}", soft_wrap=True)


@projections.command("skip")
def skip(
    name: Name,
    position: Annotated[int, typer.Option("--position", metavar="N", min=1, help="Where the projection is parked.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes on record.")],
    state_dir: StateDir = None,
) -> None:
    """Have a projection pass over the event that it cannot take. This is on record, and holds for rebuilds too."""
    with connected(state_dir) as client:
        client.projections.skip(name, position, reason)
    console.print(f"{name}: passes over the event at position {position}", soft_wrap=True)


@projections.command("retry")
def retry(name: Name, state_dir: StateDir = None) -> None:
    """Have a parked projection try again the event that it could not take."""
    with connected(state_dir) as client:
        client.projections.retry(name)
    console.print(f"{name}: tries again", soft_wrap=True)


def _rows(projection: "Projection") -> list[dict[str, Any]]:
    return [
        {
            "name": projection.name,
            **one.model_dump(mode="json", exclude_unset=True),
            "progress": f"{one.progress:.0%}",
        }
        for one in projection.generations
    ]


def _wait(client: "Client", begun: dict[str, int]) -> None:
    """Show how far generations are until all are ready, or live."""
    pause = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        tasks = {name: progress.add_task(name, total=1.0) for name in begun}
        left = dict(begun)
        while left:
            for name, number in list(left.items()):
                if (done := _built(client.projections.get(name), number)) == 1:
                    del left[name]
                progress.update(tasks[name], completed=done)
            if left:
                pause.wait(_POLL_SECS)


def _built(projection: "Projection", number: int) -> float:
    """Return how far a generation is; 1 only when it has caught up and done what it was to do.

    Raises:
        Conflict: it never will: somebody dropped it, or it cannot take an event.
    """
    one = next((one for one in projection.generations if one.generation == number), None)
    is_gone = one is None or one.status in ("retired", "dropping")
    if projection.kind == "inline" and is_gone:
        return 1.0  # what was rebuilt of an inline view goes once it was switched to
    if one is None or is_gone:
        raise Conflict(f"{projection.name}: somebody has dropped generation {number}")
    if one.parked_at is not None:
        raise Conflict(
            f"{projection.name}: generation {number} cannot take the event at position {one.parked_at}: {one.error}"
        )
    is_done = one.status == "live" or (one.status == "ready" and not one.switches)
    return 1.0 if is_done else min(one.progress, 0.99)
