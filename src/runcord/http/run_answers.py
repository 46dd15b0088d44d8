"""Answers about runs that several routes give."""

from collections.abc import Sequence
from typing import Any

from runcord.errors import RunNotFound
from runcord.http.compat.strait.render import render_run
from runcord.http.operation import Answer, Call
from runcord.ledger.committer import Committed
from runcord.ledger.transaction import Row
from runcord.projecting.time_travel import documents, run_at_version, version_at
from runcord.run.limits import MAX_ANCESTORS
from runcord.run.state import Run
from runcord_projections.run_view.projection import CODEC, SQL

_MEMBERS_OF_COLUMNS = {
    "payload": ("payload",),
    "output": ("result", "output_type"),
    "metadata": ("metadata",),
    "runTags": ("tags",),
    "error": ("error", "error_class"),
    "startedAt": ("started_at",),
    "completedAt": ("finished_at",),
    "delayUntil": ("scheduled_at",),
    "idempotencyKey": ("idempotency_key",),
}
"""What Trigger.dev's columns that may be skipped are called here."""


def run_of_row(call: Call, row: Row) -> dict[str, Any]:
    """Return the run in a row of the run view: state, payload, result, and whatever follows."""
    state, payload, result = row[:3]
    return shown_run(call, CODEC.decode(state), payload, result)


async def run_as_it_was(call: Call, run: Run) -> dict[str, Any]:
    """Return a run with the payload and the result that it had in that state, whatever became of it since."""
    found = await documents(call.backend.read, call.project_id, run)
    return shown_run(call, run, found.payload, found.result)


def shown_run(call: Call, run: Run, payload: bytes | None, result: bytes | None) -> dict[str, Any]:
    """Return a run as JSON members, without those that the caller may not see."""
    members = render_run(run, payload, result, project_id=call.project_id)
    for column in call.hidden:
        for name in _MEMBERS_OF_COLUMNS.get(column, ()):
            members.pop(name, None)
    return members


async def ancestors(call: Call, run: Run) -> Sequence[Run]:
    """Return the run that spawned a run, the one that spawned that, and so on, up to `MAX_ANCESTORS`."""
    if run.parent_run_id is None:
        return ()
    params = {"project_id": call.project_id, "run_id": run.run_id, "limit": MAX_ANCESTORS}
    return [CODEC.decode(state) for (state,) in await call.backend.read(SQL["ancestors"], params)]


async def run_in_version(call: Call, version: int) -> Run:
    """Return the run that the path names as its event number `version` left it.

    Raises:
        RunNotFound: the project has no such run, or the run has no such version yet.
    """
    run = await run_at_version(call.backend.read, call.project_id, call.path["run_id"], version)
    if run is None:
        await require_run(call)
        raise RunNotFound(f"the run has no version {version} yet")
    return run


async def run_at(call: Call, run_id: str, position: int) -> Run:
    """Return a run as it was when the ledger was at a position.

    Raises:
        RunNotFound: the project has no such run, or it was not there yet.
    """
    version = await require_run_at(call, run_id, position)
    run = await run_at_version(call.backend.read, call.project_id, run_id, version)
    assert run is not None
    return run


async def require_run_at(call: Call, run_id: str, position: int) -> int:
    """Return the version that a run had when the ledger was at a position. Raises as `run_at` does."""
    version = await version_at(call.backend.read, call.project_id, run_id, position)
    if not version:
        await require_run(call)
        raise RunNotFound(f"the run was not there yet at position {position}")
    return version


async def run_after(call: Call, committed: Committed, status: int = 200) -> Answer:
    """Return the answer to a command whose value is the run."""
    run: Run = committed.value
    return Answer(await run_as_it_was(call, run), status, position=committed.position, version=run.version)


async def load_run(call: Call, run_id: str | None = None) -> tuple[Run, Row]:
    """Return a run, the one that the path names if no other is given, and its row.

    Raises:
        RunNotFound: the project has no such run.
    """
    wanted = run_in_path(call) if run_id is None else {"project_id": call.project_id, "run_id": run_id}
    rows = await call.backend.read(SQL["get"], wanted)
    if not rows:
        raise no_such_run(call)
    return CODEC.decode(rows[0][0]), rows[0]


async def require_run(call: Call) -> None:
    """Raise RunNotFound unless the project has the run that the path names."""
    if not (await call.backend.read(SQL["is_there"], run_in_path(call)))[0][0]:
        raise no_such_run(call)


def run_in_path(call: Call) -> dict[str, str]:
    """Return the parameters of queries about the run that the path names."""
    return {"project_id": call.project_id, "run_id": call.path["run_id"]}


def no_such_run(call: Call) -> RunNotFound:
    """Return the error for a run that is not there; it is the same for one of another project."""
    return RunNotFound(f"there is no run {call.path['run_id'][:128]!r} in this project")
