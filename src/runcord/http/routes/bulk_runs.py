"""Many runs at once: cancel them, replay them, queue dead letters again; at once, or in the background."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runcord.bulk.commands import RequestBulk
from runcord.bulk.events import BulkRequested
from runcord.bulk.selection import Action, RunFilter
from runcord.errors import NothingToReplay, TooManyRuns
from runcord.handling.bulk import Acted, ActOnRuns, CommandBulk
from runcord.http.compat.strait.bulk import render_cancellations, render_new_runs, render_replays
from runcord.http.compat.strait.render import render_run
from runcord.http.idempotency_key import given_key
from runcord.http.models.bulk import (
    DEAD_LETTERS,
    MOST_DEAD_LETTERS,
    MOST_NAMED,
    BulkAccepted,
    BulkCancelAllBody,
    BulkCancelBody,
    BulkCancelResponse,
    BulkDeadLettersBody,
    BulkDeadLettersResponse,
    BulkQuery,
    BulkRehearsal,
    BulkReplayBody,
    BulkReplayQuery,
    BulkReplayResponse,
    Manner,
)
from runcord.http.models.run import JobRun
from runcord.http.operation import Answer, Call, Operation
from runcord.ids import new_id
from runcord.ledger.transaction import Context
from runcord.projecting.time_travel import payloads
from runcord.queue.bulk_targets import can_be_acted_on, count_runs, find_runs, targets
from runcord.sql import load

LEDGER_SQL = load("runcord.sql", "queries/recorder.sql")

MOST_AT_ONCE: Mapping[Action, int] = {"cancel": 1000, "replay": MOST_NAMED, "dlq_replay": MOST_DEAD_LETTERS}
"""How many runs of a filter one append acts on; a replay copies a payload, which may be large."""

_SHOWN = 100
"""How many runs a dry run names."""


@dataclass(frozen=True)
class _Wish:
    action: Action
    named: Sequence[str] | None
    filter: RunFilter | None
    limit: int | None = None
    reason: str | None = None


async def bulk_cancel_runs(call: Call) -> Answer:
    """Cancel up to 100 runs by their ids, or up to 1,000 of a filter, each with all that it has spawned.

    Each run is cancelled, or refused, by its own; the results tell. With `async`, up to any number, in the background.
    """
    body = call.body(BulkCancelBody)
    chosen = None if body.filter is None else body.filter.filter_for("cancel")
    wish = _Wish("cancel", body.named, chosen, reason=body.reason)
    return await _elsewhere(call, body, wish) or await _cancel(call, wish)


async def bulk_cancel_all_runs(call: Call) -> Answer:
    """Cancel all runs of a filter that have not ended, up to 1,000, each with all that it has spawned.

    With `async`, up to any number, in the background.
    """
    body = call.body(BulkCancelAllBody)
    call.require_own_project(body.project_id)
    wish = _Wish("cancel", None, body.filter_for("cancel"), reason=body.reason)
    return await _elsewhere(call, body, wish) or await _cancel(call, wish, with_ids=True)


async def bulk_replay_runs(call: Call) -> Answer:
    """Make new runs of up to 100 runs that have ended, by their ids or by a filter, and answer the new ones.

    A filter without a status means the runs that failed, timed out, crashed or failed through the system. With
    `envelope`, the answer says of each run what became of it. With `async`, up to any number, in the background.
    """
    body = call.body(BulkReplayBody)
    chosen = None if body.filter is None else body.filter.filter_for("replay")
    wish = _Wish("replay", body.named, chosen)
    elsewhere = await _elsewhere(call, body, wish)
    if elsewhere is not None:
        return elsewhere
    acted, position = await _act(call, wish)
    if call.query(BulkReplayQuery).envelope:
        return Answer(render_replays(acted), position=position)
    return Answer(render_new_runs(acted, project_id=call.project_id), position=position)


async def bulk_replay_dead_letters(call: Call) -> Answer:
    """Queue up to 500 dead letters again, by their ids or the oldest of a filter, and answer those that are.

    Runs that are no dead letters, or whose job takes no runs, are passed over. With `async`, up to any number, in the
    background.
    """
    body = call.body(BulkDeadLettersBody)
    call.require_own_project(body.project_id)
    chosen = None if body.run_ids is not None else body.filter_for("dlq_replay")
    wish = _Wish("dlq_replay", body.run_ids, chosen, body.limit)
    elsewhere = await _elsewhere(call, body, wish)
    if elsewhere is not None:
        return elsewhere
    if chosen is not None and body.limit is None:
        wish = _Wish("dlq_replay", None, chosen, DEAD_LETTERS)
    acted, position = await _act(call, wish)
    runs = [one.run for one in acted if one.run is not None and one.outcome.result == "succeeded"]
    if not runs:
        raise NothingToReplay
    given = await payloads(call.backend.read, call.project_id, runs)
    rendered = [render_run(run, given.get(run.run_id), project_id=call.project_id) for run in runs]
    return Answer({"replayed": rendered, "count": len(rendered)}, position=position)


async def _cancel(call: Call, wish: _Wish, *, with_ids: bool = False) -> Answer:
    acted, position = await _act(call, wish)
    members = render_cancellations(acted)
    if with_ids:
        members["run_ids"] = [one.outcome.run_id for one in acted if one.outcome.result == "succeeded"]
    return Answer(members, position=position)


async def _elsewhere(call: Call, body: Manner, wish: _Wish) -> Answer | None:
    """Return the answer if nothing is to be done within the request: it is a dry run, or goes to the background."""
    query = call.query(BulkQuery)
    call.require_own_project(query.project_id)
    if body.dry_run:
        return await _rehearse(call, wish)
    return await _request(call, wish) if body.in_background or query.in_background else None


async def _rehearse(call: Call, wish: _Wish) -> Answer:
    read, project_id = call.backend.read, call.project_id
    if wish.filter is None:
        fit = await can_be_acted_on(read, project_id, wish.action, _each_once(wish))
        total, first = len(fit), fit[:_SHOWN]
    else:
        as_of = await _position(call)
        most = _SHOWN if wish.limit is None else min(wish.limit, _SHOWN)
        total = await count_runs(read, project_id, wish.filter, as_of=as_of, most=wish.limit)
        first = (await find_runs(read, project_id, wish.filter, after=0, as_of=as_of, limit=most)).run_ids
    return Answer({"dry_run": True, "action": wish.action, "total": total, "run_ids": first})


async def _request(call: Call, wish: _Wish) -> Answer:
    key = given_key(call)
    operation_id = new_id("bulk") if key is None else _id_for(call.project_id, key)
    named = None if wish.filter is not None else tuple(_each_once(wish))
    facts = BulkRequested(wish.action, named, wish.filter, wish.limit, wish.reason)
    context = Context(call.actor, call.request_id, call.context.trace, causation=operation_id)
    handler = CommandBulk(context, operation_id, RequestBulk(facts))
    committed = await call.backend.committer.execute(call.project_id, handler)
    headers = {"Location": f"/v1/bulk-operations/{operation_id}"}
    return Answer({"request_id": operation_id}, 202, position=committed.position, headers=headers)


async def _act(call: Call, wish: _Wish) -> tuple[Sequence[Acted], int | None]:
    run_ids = _each_once(wish) if wish.filter is None else await _runs_of_filter(call, wish, wish.filter)
    if not run_ids:
        return [], None
    handler = ActOnRuns(call.context, wish.action, targets(run_ids), wish.filter, wish.reason)
    committed = await call.backend.committer.execute(call.project_id, handler)
    return committed.value, committed.position


async def _runs_of_filter(call: Call, wish: _Wish, runs: RunFilter) -> Sequence[str]:
    most = MOST_AT_ONCE[wish.action]
    if wish.limit is not None and wish.limit > most:
        raise TooManyRuns(f"limit: at most {most:,} runs are taken at once; for more, send async=true")
    found = await find_runs(
        call.backend.read,
        call.project_id,
        runs,
        after=0,
        as_of=await _position(call),
        limit=most + 1 if wish.limit is None else wish.limit,
    )
    if len(found.run_ids) > most:
        raise TooManyRuns(
            f"the filter picks more than {most:,} runs: send async=true to work on them in the background"
        )
    return found.run_ids


async def _position(call: Call) -> int:
    return (await call.backend.read(LEDGER_SQL["last_position"], {"project_id": call.project_id}))[0][0]


def _each_once(wish: _Wish) -> list[str]:
    return list(dict.fromkeys(wish.named or ()))


def _id_for(project_id: str, key: str) -> str:
    """Return the id of the operation that this key asks for: the same request, sent again, finds it."""
    return f"bulk_{hashlib.sha256(f'{project_id}/{key}'.encode()).hexdigest()[:32]}"


def _bulk(path: str, answer: Any, **options: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": f"/v1/runs/{path}",
        "tag": "runs",
        "scope": "runs:write",
        "query": BulkQuery,
        "answer": answer | BulkRehearsal,
        "other_answers": {202: BulkAccepted},
        **options,
    }


OPERATIONS = (
    Operation(
        **_bulk("bulk-cancel", BulkCancelResponse),
        handle=bulk_cancel_runs,
        summary="Cancel many runs",
        body=BulkCancelBody,
    ),
    Operation(
        **_bulk("bulk-cancel-all", BulkCancelResponse),
        handle=bulk_cancel_all_runs,
        summary="Cancel all runs of a filter",
        body=BulkCancelAllBody,
    ),
    Operation(
        **_bulk("bulk-replay", list[JobRun] | BulkReplayResponse, query=BulkReplayQuery),
        handle=bulk_replay_runs,
        summary="Make new runs of many ended ones",
        body=BulkReplayBody,
    ),
    Operation(
        **_bulk("bulk-dlq-replay", BulkDeadLettersResponse),
        handle=bulk_replay_dead_letters,
        summary="Queue many dead letters again",
        body=BulkDeadLettersBody,
    ),
)
