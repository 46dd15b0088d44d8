"""Databases for tests that kill things: on a server that flushes, or on the fast one."""

from collections.abc import Iterator

import pytest

from runcord.sql import apply_schema
from runcord.testing.postgres import TestServer


@pytest.fixture
def durable_dsn(durable_postgres: TestServer) -> Iterator[str]:
    """The DSN of a fresh database, with the schema, on a server that forgets nothing."""
    dsn = durable_postgres.create_database()
    apply_schema(dsn)
    yield dsn
    durable_postgres.drop_database(dsn)
