import psycopg
import pytest

from runcord.embedded import check_durability
from runcord.errors import ConfigurationError
from runcord.testing.postgres import as_superuser


def test_a_durable_server_passes(durable_postgres) -> None:
    with psycopg.connect(durable_postgres.dsn) as connection:
        check_durability(connection, allow_unsafe=False)


def test_a_server_that_forgets_is_refused_by_name_of_each_setting(postgres) -> None:
    with (
        psycopg.connect(postgres.dsn) as connection,
        pytest.raises(ConfigurationError, match="fsync, full_page_writes, synchronous_commit are off"),
    ):
        check_durability(connection, allow_unsafe=False)


def test_a_server_that_forgets_is_accepted_when_the_operator_says_so(postgres) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        check_durability(connection, allow_unsafe=True)


def test_a_setting_of_the_session_alone_counts(durable_postgres) -> None:
    with psycopg.connect(durable_postgres.dsn) as connection:
        connection.execute("SET synchronous_commit = off")
        with pytest.raises(ConfigurationError, match="synchronous_commit is off"):
            check_durability(connection, allow_unsafe=False)


def test_alter_system_cannot_switch_durability_off_under_us(durable_postgres) -> None:
    with psycopg.connect(as_superuser(durable_postgres.dsn), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("ALTER SYSTEM RESET fsync")
        source = connection.execute("SELECT setting, source FROM pg_settings WHERE name = 'fsync'").fetchone()
    assert source == ("on", "command line")
