"""One command to one run, and what follows from it for other runs."""

from runcord.errors import RunNotFound
from runcord.handling import debugging, dependencies
from runcord.handling.dependency_graph import graph_of
from runcord.handling.documents import documents
from runcord.handling.read_ahead import ReadAhead
from runcord.ledger.transaction import Transaction
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.decide import decide
from runcord.run.state import Run
from runcord.sql import load

SQL = load("runcord.sql", "queries/commands.sql")

DESCENDANTS = ReadAhead(SQL["unfinished_descendants"])
"""What is cancelled with a run: for handlers of many cancels to prepare."""


def get_run(tx: Transaction, run_id: str) -> Run:
    """Return the run as it is now.

    Raises:
        RunNotFound: the project has no such run.
    """
    run = tx.state(run_id)
    if not isinstance(run, Run):
        raise RunNotFound(f"there is no run {run_id!r} in this project")
    return run


def create_run(tx: Transaction, run_id: str, facts: e.Triggered) -> Run:
    """Begin a run whose id is new, and return it."""
    run: Run = tx.create(run_id, facts)
    debugging.begun(tx, run, c.Trigger(facts))
    return run


def apply(tx: Transaction, run_id: str, command: c.Command) -> Run:
    """Decide a command, record its events and their consequences, and return the run after it.

    Consequences: a cancelled run takes all its descendants along; a finished child releases the parent that waits
    for it; runs that were held back by dependencies that are met now are queued.

    Raises:
        RunNotFound, StaleAttempt, IllegalTransition, Invalid: refused, and nothing was recorded.
    """
    before = get_run(tx, run_id)
    with debugging.watch(tx, run_id, command):
        events = decide(command, before, tx.at)
        if not events:
            return before
        after: Run = tx.record(run_id, *events)
    follow(tx, before, after, events)
    return after


def follow(tx: Transaction, before: Run | None, after: Run, events: tuple[e.Event, ...]) -> None:
    """Record what follows from events of a run for other runs."""
    if not after.is_finished or (before is not None and before.is_finished):
        return
    if isinstance(command := events[-1], e.Canceled) and not command.by_parent:
        _cancel_descendants(tx, after.run_id)
    if after.job_id in graph_of(tx).dependents:
        dependencies.ended(tx, after, documents(tx, after.run_id)[0])
    if after.parent_waits and after.parent_run_id is not None and isinstance(tx.state(after.parent_run_id), Run):
        result = next((event.result for event in events if isinstance(event, e.Completed)), None)
        apply(tx, after.parent_run_id, c.ChildEnded(after.run_id, after.status, result))


def _cancel_descendants(tx: Transaction, run_id: str) -> None:
    found = [descendant for (descendant,) in DESCENDANTS.rows(tx, run_id) if descendant is not None]
    tx.load(found)
    # Runs that this very transaction has made are not in the table yet.
    family = {run_id, *found}
    for other in tx.states(Run):
        if other.parent_run_id in family and other.run_id not in family:
            family.add(other.run_id)
            found.append(other.run_id)
    for descendant in found:
        run = get_run(tx, descendant)
        if not run.is_finished:
            apply(tx, descendant, c.Cancel("parent run canceled", by_parent=True))
