"""Triggering runs of a job: one, many, or none but the answer what would come of it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from runcord.clock import utc_now
from runcord.errors import JobNotFound
from runcord.handling.admission import Keys, payload_hash
from runcord.handling.rehearsal import rehearse
from runcord.handling.trigger import Triggering, TriggerRequest, TriggerRuns
from runcord.http.compat.strait.render import render_job, render_run
from runcord.http.idempotency_key import given_key
from runcord.http.models.answers import Batch, Rehearsal, TriggeredRun
from runcord.http.models.trigger import BulkTriggerBody, TriggerBody, TriggerItem
from runcord.http.operation import Answer, Call, Operation
from runcord.ids import new_id
from runcord.ledger.committer import Committed
from runcord.ledger.mapper import to_json
from runcord.run.state import Run
from runcord_projections.run_view.projection import SQL

_MAX_TRACE = 512
_TRACE_HEADERS = (("traceparent", "_trace_parent"), ("tracestate", "_trace_state"))


async def trigger_job(call: Call) -> Answer:
    """Trigger a run of a job, named by its id or its slug.

    The same idempotency key with the same request answers the run that it made before, with 200; with another
    request it is refused. With `dry_run` nothing is made: the answer says what would be, and whether the payload
    fits. What the job's settings say of its triggers has its effect here: the same payload may find an earlier run
    (`deduplicated`), a rate limit may refuse, a window may gather triggers (202, `debounced` or `buffered`).
    """
    body = call.body(TriggerBody)
    keys = Keys(body.debounce_key, body.batch_key, body.debouncing)
    request = _request(call, body, given_key(call) or body.idempotency_key, keys)
    if body.dry_run:
        return await _rehearse(call, request)
    committed = await _execute(call, [request])
    triggering: Triggering = committed.value[0]
    run, hit = triggering.run, triggering.idempotency_hit
    payload = await _payload(call, triggering)
    members = render_run(
        run,
        payload,
        project_id=call.project_id,
        payload_hash=payload_hash(
            orjson.loads(payload) if payload and (hit or triggering.is_postponed) else request.payload
        ),
        run_token=call.backend.run_tokens.sign(call.project_id, run, claimed=False),
        idempotency_hit=hit,
        **_fate(triggering),
    )
    waits = triggering.fate in {"debounced", "buffered"}
    return Answer(members, 202 if waits else 200 if hit else 201, position=committed.position, version=run.version)


def _fate(triggering: Triggering) -> dict[str, Any]:
    """Return what an answer says of a trigger that did not just make a run."""
    run, fate = triggering.run, triggering.fate
    match fate:
        case "triggered":
            return {}
        case "debounced" | "buffered":
            return {fate: True, "fire_at": run.due_at, "run_id": run.run_id}
        case "batched":
            return {"batch": True}
        case "deduplicated":
            return {fate: True}


async def _payload(call: Call, triggering: Triggering) -> bytes | None:
    """Return the payload to show: a batch shows none, because that would grow with every trigger."""
    if triggering.fate in {"buffered", "batched"}:
        return None
    if triggering.idempotency_hit or triggering.fate == "deduplicated" or triggering.is_postponed:
        return await _stored_payload(call, triggering.run)
    return None if triggering.payload is None else to_json(triggering.payload)


async def bulk_trigger_job(call: Call) -> Answer:
    """Trigger up to 500 runs of a job in one append: all of them or, if any item is not valid, none.

    An idempotency key in a header stands for the whole call: item n has the key `<key>:<n>` unless it has its own.
    A call that makes no run, because it was made before, answers the batch of then.
    """
    items = call.body(BulkTriggerBody).items
    header = given_key(call)
    requests = [
        _request(call, item, item.idempotency_key or (f"{header}:{index}" if header else None))
        for index, item in enumerate(items)
    ]
    batch_id = new_id("batch")
    committed = await _execute(call, requests, batch_id)
    triggerings: list[Triggering] = committed.value
    batches = {one.run.batch_id for one in triggerings}
    results = [
        {
            "id": one.run.run_id,
            "status": one.run.status,
            "run_token": call.backend.run_tokens.sign(call.project_id, one.run, claimed=False),
            "idempotency_hit": one.idempotency_hit,
            **_fate(one),
        }
        for one in triggerings
    ]
    members = {
        "batch_id": (batches.pop() if len(batches) == 1 else None) or batch_id,
        "results": results,
        "total": len(results),
        "created": sum(not one.idempotency_hit and one.fate == "triggered" for one in triggerings),
    }
    return Answer(members, 201, position=committed.position)


async def _execute(call: Call, requests: Sequence[TriggerRequest], batch_id: str | None = None) -> Committed:
    refs, ref = call.backend.job_refs, call.path["job_id"]
    try:
        return await _trigger(call, requests, batch_id)
    except JobNotFound:
        # The slug belongs to another job by now, or to none.
        refs.forget(call.project_id, ref)
        return await _trigger(call, requests, batch_id)


async def _trigger(call: Call, requests: Sequence[TriggerRequest], batch_id: str | None) -> Committed:
    ref = call.path["job_id"]
    job_id, foresight = await call.backend.job_refs.foresee(call.project_id, ref)
    slug = None if ref == job_id else ref
    handler = TriggerRuns(call.context, job_id, requests, batch_id=batch_id, slug=slug, foresight=foresight)
    return await call.backend.committer.execute(call.project_id, handler)


async def _rehearse(call: Call, request: TriggerRequest) -> Answer:
    job = await call.backend.job_refs.job(call.project_id, call.path["job_id"])
    rehearsal = rehearse(job, request, utc_now(), call.actor)
    members = {
        "job": render_job(job, project_id=call.project_id),
        "payload": request.payload,
        "payload_hash": payload_hash(request.payload),
        "validation": {"valid": not rehearsal.problems, "problems": rehearsal.problems},
    }
    if warnings := [*rehearsal.problems, *rehearsal.warnings]:
        members["validation_warnings"] = warnings
    times = {"scheduled_at": rehearsal.due_at, "expires_at": rehearsal.expires_at}
    return Answer(members | {name: at for name, at in times.items() if at is not None})


def _request(call: Call, item: TriggerItem, key: str | None, keys: Keys | None = None) -> TriggerRequest:
    fields = call.request.fields
    traces = {name: fields[header][:_MAX_TRACE] for header, name in _TRACE_HEADERS if header in fields}
    return TriggerRequest(
        run_id=new_id("run"),
        payload=item.payload,
        scheduled_at=item.scheduled_at,
        delay_secs=item.seconds_of_delay,
        ttl_secs=item.ttl_secs,
        priority=item.priority,
        tags=item.tags,
        metadata={**traces, **(item.metadata or {})} or None,
        concurrency_key=item.concurrency_key,
        idempotency_key=key,
        idempotency_ttl_secs=item.idempotency_ttl_secs,
        fingerprint="" if key is None else _fingerprint(item),
        parent_run_id=item.parent_run_id,
        overrides=item.overrides,
        debug_mode=item.debug_mode,
        keys=keys,
    )


def _fingerprint(item: TriggerItem) -> str:
    """Return what tells requests apart: a hash of all that shapes the run, without the key itself."""
    shape = item.model_dump(
        exclude={"idempotency_key", "idempotency_ttl_secs", "dry_run", "delay", "delay_secs"}, exclude_defaults=True
    )
    shape["delay_secs"] = item.seconds_of_delay
    return hashlib.sha256(_sorted_json(shape)).hexdigest()


def _sorted_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)


async def _stored_payload(call: Call, run: Run) -> bytes | None:
    rows = await call.backend.read(SQL["get"], {"project_id": call.project_id, "run_id": run.run_id})
    return rows[0][1] if rows else None


OPERATIONS = (
    Operation(
        "POST",
        "/v1/jobs/{job_id}/trigger",
        trigger_job,
        "Trigger a run",
        "runs",
        "jobs:trigger",
        body=TriggerBody,
        status=201,
        answer=TriggeredRun,
        other_answers={200: TriggeredRun | Rehearsal, 202: TriggeredRun},
        may_limit=True,
    ),
    Operation(
        "POST",
        "/v1/jobs/{job_id}/trigger/bulk",
        bulk_trigger_job,
        "Trigger many runs",
        "runs",
        "jobs:trigger",
        body=BulkTriggerBody,
        status=201,
        answer=Batch,
        body_limit_factor=16,
        may_limit=True,
    ),
)
