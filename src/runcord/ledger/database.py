"""Connections: how they are made, and what a lost one means."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from runcord.ledger.transaction import Row

_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A half-open connection is found within about ten seconds."""

_WRITER_OPTIONS = (
    "-c synchronous_commit=on -c statement_timeout=25s -c lock_timeout=10s "
    "-c idle_in_transaction_session_timeout=10s -c jit=off -c timezone=UTC "
    # All that a writer does goes by keys. Tables that have just grown have no statistics yet, and a plan that
    # reads a whole project to find a hundred runs would be made under the ledger's lock, and kept.
    "-c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off "
    "-c enable_bitmapscan=off -c plan_cache_mode=force_generic_plan"
)
_READER_OPTIONS = "-c statement_timeout=25s -c default_transaction_read_only=on -c jit=off -c timezone=UTC"
_SERVICE_OPTIONS = "-c statement_timeout=25s -c jit=off -c timezone=UTC"
_LISTENER_OPTIONS = f"{_SERVICE_OPTIONS} -c synchronous_commit=off"

_OPERATOR_OPTIONS = "-c statement_timeout=300s -c lock_timeout=10s -c jit=off -c timezone=UTC"
"""What operators ask for may read a whole project."""


def connect_writer(dsn: str) -> psycopg.Connection[Row]:
    """Return a connection of a committer's thread: durable commits, and never a lock held for long."""
    return psycopg.connect(dsn, application_name="runcord writer", options=_options(dsn, _WRITER_OPTIONS), **_KEEPALIVE)


def connect_operator(dsn: str) -> psycopg.Connection[Row]:
    """Return an autocommit connection for work that takes its time and that nobody's request waits for."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name="runcord operator",
        options=_options(dsn, _OPERATOR_OPTIONS),
        **_KEEPALIVE,
    )


async def connect_listener(dsn: str) -> psycopg.AsyncConnection[Row]:
    """Return an autocommit connection for LISTEN and NOTIFY, which does not wait for the disk: nothing is written."""
    return await psycopg.AsyncConnection.connect(
        dsn,
        autocommit=True,
        application_name="runcord tail",
        options=_options(dsn, _LISTENER_OPTIONS),
        **_KEEPALIVE,
    )


def reader_pool(dsn: str, size: int) -> AsyncConnectionPool[psycopg.AsyncConnection[Row]]:
    """Return a closed pool of autocommit, read-only connections; waiting for one is bounded to two seconds."""
    return _pool(dsn, size, _READER_OPTIONS, "runcord reader")


def service_pool(dsn: str, size: int) -> AsyncConnectionPool[psycopg.AsyncConnection[Row]]:
    """Return a closed pool for the rows that are no events: leases, keys."""
    return _pool(dsn, size, _SERVICE_OPTIONS, "runcord service")


def _pool(dsn: str, size: int, options: str, name: str) -> AsyncConnectionPool[psycopg.AsyncConnection[Row]]:
    kwargs: dict[str, Any] = {
        "autocommit": True,
        "application_name": name,
        "options": _options(dsn, options),
        **_KEEPALIVE,
    }
    return AsyncConnectionPool(
        dsn, kwargs=kwargs, min_size=1, max_size=size, open=False, timeout=2.0, max_waiting=400, name=name
    )


def _options(dsn: str, options: str) -> str:
    """Return our session options after those that the DSN itself sets."""
    given = conninfo_to_dict(dsn).get("options")
    return f"{given} {options}" if given else options
