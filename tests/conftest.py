"""The databases that tests use. Whatever takes `dsn` has one to itself."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from runcord.logs import configure_logging
from runcord.testing.postgres import TestServer

# As a server logs: its own default renders the local variables of every traceback, which takes seconds.
configure_logging("warning", "json")

# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """A server that forgets: fast, and good for everything but tests of durability."""
    with TestServer() as server:
        yield server


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[TestServer]:
    """A server that flushes every commit, for tests that kill it or check that."""
    with TestServer(durable=True) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: TestServer) -> str:
    """The DSN of a database with the schema, to copy; nobody stays connected to it."""
    from runcord.sql import apply_schema

    dsn = postgres.create_database()
    apply_schema(dsn)
    return dsn


@pytest.fixture
def dsn(postgres: TestServer, template_database: str) -> Iterator[str]:
    """The DSN of a fresh database with the schema, dropped afterwards."""
    dsn = postgres.create_database(template=template_database)
    yield dsn
    postgres.drop_database(dsn)
