"""`runcord audit`: proof that history is as it was written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from runcord.cli.output import Format, errors, print_rows
from runcord.cli.state import StateDir, resolve_database
from runcord.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from runcord.ledger.chain import Checkpoint, Verification

audit = typer.Typer(help="Prove that nobody has edited history. Uses the database directly.", no_args_is_help=True)

_COLUMNS = ("project_id", "result", "verified_to", "first_bad_position", "reason")


@audit.command("verify")
def verify(
    project: Annotated[
        list[str] | None, typer.Option("--project", help="Only this project; give it again for more.")
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints",
            metavar="FILE",
            help="Go on from what this file says was verified before, and note there how far it is now. Keep it where "
            "those who can edit the database cannot edit it.",
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="From the first event, though there are checkpoints; they must still fit.")
    ] = False,
    format: Format = "text",
    state_dir: StateDir = None,
) -> None:
    """Compute the chain of digests again and compare. Exits with 1 at the first event of a ledger that does not fit."""
    from runcord.cli.database import connect
    from runcord.http.credentials import SQL
    from runcord.ledger.chain import verify as verify_chain

    kept = _read(checkpoints)
    rows: list[dict[str, Any]] = []
    with connect(resolve_database(state_dir)) as conn, _progress() as progress:
        known = [row[0] for row in conn.execute(SQL["projects"])]
        for missing in set(project or ()) - set(known):
            raise NotFound(f"There is no project {missing}: `runcord projects list` shows those there are.")
        for project_id in project or known:
            checkpoint = kept.get(project_id)
            after = 0 if checkpoint is None or whole else checkpoint.position
            task = progress.add_task(project_id, total=None)
            verification = verify_chain(
                conn,
                project_id,
                after,
                checkpoint=checkpoint,
                progress=lambda done, head, task=task: progress.update(task, completed=done, total=head),
            )
            rows.append(_row(project_id, verification))
            if verification.digest is not None:
                kept[project_id] = _checkpoint(verification)
    print_rows(rows, _COLUMNS, format, empty="There are no projects.")
    if any(row["result"] == "broken" for row in rows):
        raise typer.Exit(1)
    if checkpoints is not None:
        _write(checkpoints, kept)


def _row(project_id: str, verification: "Verification") -> dict[str, Any]:
    return {
        "project_id": project_id,
        "result": "intact" if verification.ok else "broken",
        "verified_to": verification.verified_to,
        "first_bad_position": verification.first_bad_position,
        "reason": verification.reason,
        "digest": None if verification.digest is None else verification.digest.hex(),
    }


def _checkpoint(verification: "Verification") -> "Checkpoint":
    from runcord.ledger.chain import Checkpoint

    assert verification.digest is not None
    return Checkpoint(verification.verified_to, verification.digest)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def _read(path: Path | None) -> "dict[str, Checkpoint]":
    import orjson

    from runcord.ledger.chain import Checkpoint

    if path is None or not path.exists():
        return {}
    try:
        kept = orjson.loads(path.read_bytes())
        return {
            project_id: Checkpoint(int(found["position"]), bytes.fromhex(found["digest"]))
            for project_id, found in kept.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} is no file of checkpoints: {error}") from None


def _write(path: Path, kept: "dict[str, Checkpoint]") -> None:
    import orjson

    stored = {p: {"position": c.position, "digest": c.digest.hex()} for p, c in sorted(kept.items())}
    written = path.with_name(f"{path.name}.new")
    try:
        written.write_bytes(orjson.dumps(stored, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        written.replace(path)
    except OSError as error:
        raise ConfigurationError(f"The checkpoints cannot be written to {path}: {error.strerror}") from None
