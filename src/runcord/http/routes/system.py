"""The server itself: whether it lives, whether it is ready, what it can do, and who is asking."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, cast

import psycopg

from runcord.errors import Unavailable
from runcord.http.credentials import Key
from runcord.http.models.system import Alive, Health, Identity, QueueStats, Readiness
from runcord.http.operation import Answer, Call, Operation
from runcord.http.problems import problem_headers
from runcord.sql import load
from runcord.sql.migrate import migrations
from runcord_projections.run_view.projection import SQL as RUNS_SQL

SQL = load("runcord.sql", "queries/system.sql")

MAX_TAIL_LAG_SECS = 5.0
_OK = "ok"


async def get_liveness(call: Call) -> Answer:
    """Answer that the process serves requests; nothing else is looked at."""
    return Answer({"status": _OK})


async def get_readiness(call: Call) -> Answer:
    """Answer whether the server can do its work.

    It can when its database answers and has all migrations, and when it has looked at the ledgers within the last
    five seconds.
    """
    checks = await _checks(call)
    return _readiness({"status": "ready" if _all_is_well(checks) else "not_ready", "checks": checks}, checks)


async def get_health(call: Call) -> Answer:
    """Answer that the process serves requests, where Strait's clients ask for it."""
    return Answer({"status": _OK})


async def get_health_readiness(call: Call) -> Answer:
    """Answer whether the server can do its work, where Strait's clients ask for it and as they know it."""
    checks = await _checks(call)
    components = [
        {"name": name, "status": "up"} if found == _OK else {"name": name, "status": "down", "error": found}
        for name, found in checks.items()
    ]
    return _readiness({"status": "up" if _all_is_well(checks) else "degraded", "components": components}, checks)


async def get_openapi(call: Call) -> Answer:
    """Answer this description of the API (OpenAPI 3.1)."""
    return Answer(call.request.app.state.document())


async def get_identity(call: Call) -> Answer:
    """Answer which project and key the caller's credential belongs to, and what it may do."""
    key = cast(Key, call.key)
    members: dict[str, Any] = {
        "project_id": key.project_id,
        "key_id": key.key_id,
        "scopes": sorted(key.scopes),
    }
    if key.expires_at is not None:
        members["expires_at"] = key.expires_at
    return Answer(members)


async def count_queue(call: Call) -> Answer:
    """Count the project's runs that wait or are worked on, by status, and its dead letters."""
    counted: dict[str, int] = dict(await call.backend.read(RUNS_SQL["count_open"], {"project_id": call.project_id}))
    return Answer({status: counted.get(status, 0) for status in QueueStats.model_fields})


async def _checks(call: Call) -> dict[str, str]:
    lag = call.backend.tail.lag_secs
    return {
        **await _look_at_database(call),
        "tail": _OK if lag < MAX_TAIL_LAG_SECS else f"last looked at the ledgers {lag:.0f} s ago",
    }


def _all_is_well(checks: Mapping[str, str]) -> bool:
    return all(found == _OK for found in checks.values())


def _readiness(body: dict[str, Any], checks: Mapping[str, str]) -> Answer:
    status = 200 if _all_is_well(checks) else 503
    return Answer(body, status, headers=problem_headers(status))


async def _look_at_database(call: Call) -> dict[str, str]:
    try:
        applied = {row[0] for row in await call.backend.read(SQL["applied_migrations"], {})}
    except Unavailable as error:
        return {"database": error.message, "migrations": "not known"}
    except psycopg.errors.UndefinedTable:
        applied = set[int]()
    missing = _known_migrations() - applied
    return {"database": _OK, "migrations": f"{len(missing)} pending: run `runcord migrate`" if missing else _OK}


@cache
def _known_migrations() -> frozenset[int]:
    return frozenset(migration.number for migration in migrations())


def _public(
    path: str, handle: Callable[[Call], Awaitable[Answer]], summary: str, answer: Any, **options: Any
) -> Operation:
    return Operation(
        method="GET",
        path=path,
        handle=handle,
        summary=summary,
        tag="system",
        access="public",
        answer=answer,
        **options,
    )


OPERATIONS = (
    _public("/livez", get_liveness, "Is it alive?", Alive),
    _public("/readyz", get_readiness, "Is it ready?", Readiness, other_answers={503: Readiness}),
    _public("/health", get_health, "Is it alive? (Strait's path)", Alive),
    _public("/health/ready", get_health_readiness, "Is it ready? (Strait's path)", Health, other_answers={503: Health}),
    _public("/openapi.json", get_openapi, "Get the OpenAPI document", dict[str, Any]),
    Operation(
        method="GET",
        path="/v1/whoami",
        handle=get_identity,
        summary="Who am I?",
        tag="system",
        answer=Identity,
    ),
    Operation(
        method="GET",
        path="/v1/stats",
        handle=count_queue,
        summary="Count the queue",
        tag="system",
        scope="stats:read",
        other_scopes=("runs:read",),
        answer=QueueStats,
    ),
)
