"""A project with an empty ledger, and who reads and writes it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from runcord.ledger.recorder import LedgerRecorder
from runcord.testing.ledger import PROJECT, open_project


@pytest.fixture
def ledger(dsn: str) -> str:
    """The DSN of a database with an empty ledger of `PROJECT`."""
    open_project(dsn)
    return dsn


@pytest.fixture
def conn(ledger: str) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection to the database of `ledger`."""
    with psycopg.connect(ledger, autocommit=True) as conn:
        yield conn


@pytest.fixture
def recorder(ledger: str) -> Iterator[LedgerRecorder]:
    """A recorder of the ledger."""
    with LedgerRecorder(ledger, PROJECT) as recorder:
        yield recorder
