"""Databases without a schema, and a folder of migrations that a test may write."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runcord.testing.postgres import TestServer


@pytest.fixture
def empty(postgres: TestServer) -> Iterator[str]:
    """The DSN of a database with nothing in it."""
    dsn = postgres.create_database()
    yield dsn
    postgres.drop_database(dsn)


@pytest.fixture
def another_empty(postgres: TestServer) -> Iterator[str]:
    """The DSN of a second one."""
    dsn = postgres.create_database()
    yield dsn
    postgres.drop_database(dsn)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Writes a migration; the package's own are out of sight."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    # By its name: the package's attribute of that name is the function.
    monkeypatch.setattr(importlib.import_module("runcord.sql.migrate"), "files", lambda _: tmp_path)

    def write(name: str, sql: str) -> None:
        (folder / f"{name}.sql").write_text(sql)

    return write
