from pathlib import Path

import psycopg
import pytest

from runcord.testing.postgres import TestServer


def test_a_database_is_a_copy_of_its_template_and_independent_of_it(postgres: TestServer) -> None:
    template = postgres.create_database()
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE fact AS SELECT 1 AS n")
    copy = postgres.create_database(template=template)
    with psycopg.connect(copy) as connection:
        connection.execute("UPDATE fact SET n = 2")
    with psycopg.connect(template) as connection:
        assert connection.execute("SELECT n FROM fact").fetchone() == (1,)
    for dsn in (copy, template):
        postgres.drop_database(dsn)


def test_a_dropped_database_is_gone_even_while_somebody_uses_it(postgres: TestServer) -> None:
    dsn = postgres.create_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        postgres.drop_database(dsn)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(dsn)


def test_a_closed_server_leaves_nothing_behind() -> None:
    with TestServer() as server:
        home = server.server.home
        assert Path(home, "data").is_dir()
    assert not home.exists()
    assert not home.parent.exists()
