"""Dependencies between jobs: holding runs back until they are met, and letting them go.

A job's dependencies are met for a run if, for each of them, the latest ending of the other job is as its condition
says: the latest among the runs with the same idempotency key, if the run has one; else among those with the same
`dependency_key` in their payload, if the run's has one; else among all. They are asked when the run is triggered, and
again at every ending that could change the answer, always under the ledger's lock: whichever process records that
ending records in the same transaction that the run is queued, so it happens once and is never forgotten.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import orjson

from runcord.handling.debugging import watch
from runcord.handling.dependency_graph import SQL, graph_of
from runcord.handling.documents import documents
from runcord.job.state import Dependency, Job
from runcord.ledger.arrays import Texts
from runcord.ledger.mapper import RUNS
from runcord.ledger.transaction import Transaction
from runcord.ledger.view import Change, Statement
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.decide import decide
from runcord.run.state import Run, Wait
from runcord.run.trigger_events import Hold, Match

RELEASED_AT_ONCE = 100
"""How many runs of a job and key an ending queues itself; the scheduler queues the others right after."""

ENDINGS_REMEMBERED = 1000
"""How many of a job's earlier endings count for a dependency that is made after them."""

_MAX_KEY = 256


class Sort(NamedTuple):
    """The runs of a job that are alike for dependencies: those with a key, or any."""

    job_id: str
    match: Match
    key: str


class Ending(NamedTuple):
    """How a run ended."""

    run_id: str
    status: str


def match_of(idempotency_key: str | None, payload: Any) -> Hold:
    """Return which endings count for a run."""
    if idempotency_key is not None:
        return Hold("idempotency_key", _key(idempotency_key))
    key = _dependency_key(payload)
    return Hold("any") if key is None else Hold("dependency_key", key)


def unmet(
    dependencies: Iterable[Dependency], match: Hold, endings: "dict[Sort, Ending | None]"
) -> Iterator[Dependency]:
    """Yield the dependencies that the latest endings do not meet."""
    for dependency in dependencies:
        ending = endings.get(Sort(dependency.depends_on_job_id, match.match, match.key))
        if not dependency.is_met_by(None if ending is None else ending.status):
            yield dependency


# --- when runs are triggered --------------------------------------------------------------------------


def expect(tx: Transaction, job: Job, matches: Iterable[Hold]) -> None:
    """Read for many runs of a job at once what `hold` will ask for each of them."""
    _load(tx, {sort for match in matches for sort in _upstream(job.dependencies, match)})


def hold(tx: Transaction, job: Job, run_id: str, facts: e.Triggered) -> e.Triggered:
    """Return the facts of a new run, held back if dependencies of its job are not met."""
    match = match_of(facts.idempotency_key, facts.payload)
    if not any(unmet(job.dependencies, match, _load(tx, _upstream(job.dependencies, match)))):
        return facts
    waiting = _held_here(tx).setdefault(Sort(job.job_id, match.match, match.key), {})
    waiting[run_id] = None
    tx.on_undo(lambda: waiting.pop(run_id, None))
    return replace(facts, hold=match)


# --- when runs end ------------------------------------------------------------------------------------


def ended(tx: Transaction, run: Run, payload: Any) -> None:
    """Record how a run of a job that others depend on has ended, and queue the runs that waited for that."""
    sorts = _sorts(run, payload)
    _record(tx, dict.fromkeys(sorts, Ending(run.run_id, run.status)))
    dependents = sorted(graph_of(tx).dependents.get(run.job_id, ()))
    release(tx, [Sort(job_id, sort.match, sort.key) for job_id in dependents for sort in sorts])


def release(tx: Transaction, sorts: Sequence[Sort]) -> None:
    """Queue the runs of these sorts that are held back, as far as dependencies are met now."""
    held = _held(tx, sorts)
    graph = graph_of(tx)
    edges = {sort: graph.dependencies.get(sort.job_id, ()) for sort in held}
    matches = {sort: Hold(sort.match, sort.key) for sort in held}
    endings = _load(tx, {up for sort in held for up in _upstream(edges[sort], matches[sort])})
    for sort, run_ids in held.items():
        if any(unmet(edges[sort], matches[sort], endings)):
            continue
        if len(run_ids) > RELEASED_AT_ONCE:
            tx.write(SQL["release_later"], sort._asdict())
        released = run_ids[:RELEASED_AT_ONCE]
        tx.load(released)
        for run_id in [*released, *_held_here(tx).get(sort, ())]:
            run = tx.state(run_id)
            if isinstance(run, Run) and run.is_held:
                met = c.MeetDependencies()
                with watch(tx, run_id, met):
                    tx.record(run_id, *decide(met, run, tx.at))


# --- when dependencies change -------------------------------------------------------------------------


def remember_endings(tx: Transaction, job_id: str) -> None:
    """Record the latest endings of a job that nobody depended on so far, for those who do from here on."""
    known: dict[Sort, Ending] = {}
    here = [run for run in tx.states(Run) if run.job_id == job_id and run.is_finished and tx.recorded(run.run_id)]
    for run in sorted(here, key=lambda run: -tx.recorded(run.run_id)[-1].position):
        for sort in _sorts(run, documents(tx, run.run_id)[0]):
            known.setdefault(sort, Ending(run.run_id, run.status))
    rows = tx.query(SQL["recent_endings"], {"job_id": job_id, "limit": ENDINGS_REMEMBERED})
    for run_id, status, state, payload in rows:
        if not tx.recorded(run_id):
            run = RUNS.decode(bytes(state))
            for sort in _sorts(run, None if payload is None else orjson.loads(payload)):
                known.setdefault(sort, Ending(run_id, status))
    if known:
        _record(tx, known)


def reconsider(tx: Transaction, job_id: str) -> None:
    """Queue what was held back by a dependency that a job has no more."""
    stored = [Sort(job_id, match, key) for match, key in tx.query(SQL["held_keys"], {"job_id": job_id})]
    here = [sort for sort in _held_here(tx) if sort.job_id == job_id]
    release(tx, list(dict.fromkeys([*stored, *here])))


class DependencyWaits:
    """The inline projection `dependency_waits`: which runs are held back."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for the runs that are held back, one for those that are no more."""
        held = [(_wait(change.before), _wait(change.after), change.after) for change in changes]
        for statement, rows in (
            ("let_go", [(run, before) for before, after, run in held if before is not None and after is None]),
            ("hold", [(run, after) for before, after, run in held if after is not None and before is None]),
        ):
            if rows:
                yield (
                    SQL[statement],
                    {
                        "project_id": project_id,
                        "job_ids": Texts(run.job_id for run, _ in rows),
                        "matches": Texts(wait.match for _, wait in rows),
                        "keys": Texts(wait.match_key for _, wait in rows),
                        "run_ids": Texts(run.run_id for run, _ in rows),
                    },
                )


def _wait(run: Any) -> Wait | None:
    """Return what a run is held back for."""
    return run.wait if isinstance(run, Run) and run.is_held else None


# --- keys ---------------------------------------------------------------------------------------------


def _sorts(run: Run, payload: Any) -> list[Sort]:
    """Return the sorts that a run belongs to."""
    sorts = [Sort(run.job_id, "any", "")]
    if run.idempotency_key is not None:
        sorts.append(Sort(run.job_id, "idempotency_key", _key(run.idempotency_key)))
    key = _dependency_key(payload)
    if key is not None:
        sorts.append(Sort(run.job_id, "dependency_key", key))
    return sorts


def _upstream(dependencies: Iterable[Dependency], match: Hold) -> set[Sort]:
    return {Sort(dependency.depends_on_job_id, match.match, match.key) for dependency in dependencies}


def _dependency_key(payload: Any) -> str | None:
    value = cast(dict[str, Any], payload).get("dependency_key") if isinstance(payload, dict) else None
    if isinstance(value, str) and value:
        return _key(value)
    # A number counts as its digits; what is neither number nor text is no key.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _key(text: str) -> str:
    """Return a key as the tables have it: one that is long, or has characters they cannot hold, by its digest."""
    if len(text) <= _MAX_KEY and text.isprintable():
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# --- what this transaction knows ----------------------------------------------------------------------


def _endings(tx: Transaction) -> dict[Sort, Ending | None]:
    return tx.memory("endings", dict[Sort, Ending | None])


def _held_here(tx: Transaction) -> dict[Sort, dict[str, None]]:
    """Return the runs that this very transaction holds back: they are not in the table yet."""
    return tx.memory("held here", dict[Sort, dict[str, None]])


def _record(tx: Transaction, latest: Mapping[Sort, Ending]) -> None:
    endings = _endings(tx)
    before = {sort: endings[sort] for sort in latest if sort in endings}

    def restore() -> None:
        for sort in latest.keys() - before.keys():
            del endings[sort]
        endings.update(before)

    endings.update(latest)
    tx.on_undo(restore)
    rows = {
        **_columns(list(latest)),
        "run_ids": [ending.run_id for ending in latest.values()],
        "statuses": [ending.status for ending in latest.values()],
    }
    tx.write(SQL["record_endings"], rows)


def _load(tx: Transaction, sorts: Iterable[Sort]) -> dict[Sort, Ending | None]:
    """Return the latest endings, with those of these sorts among them."""
    endings = _endings(tx)
    missing = [sort for sort in sorts if sort not in endings]
    if missing:
        endings.update(dict.fromkeys(missing))
        for *sort, run_id, status in tx.query(SQL["endings"], _columns(missing)):
            endings[Sort(*sort)] = Ending(run_id, status)
    return endings


def _held(tx: Transaction, sorts: Sequence[Sort]) -> dict[Sort, list[str]]:
    """Return the stored runs of these sorts that are held back, one more than are let go at once, oldest first."""
    held: dict[Sort, list[str]] = {sort: [] for sort in sorts if sort in _held_here(tx)}
    if sorts:
        for *sort, run_id in tx.query(SQL["held"], {**_columns(sorts), "limit": RELEASED_AT_ONCE + 1}):
            held.setdefault(Sort(*sort), []).append(run_id)
    return held


def _columns(sorts: Sequence[Sort]) -> dict[str, Any]:
    job_ids, matches, keys = (list(column) for column in zip(*sorts, strict=True))
    return {"job_ids": job_ids, "matches": matches, "keys": keys}
