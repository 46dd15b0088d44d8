"""What a database must be before it is served from, and who may use it."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runcord.errors import ConfigurationError, RuncordError, Unavailable
from runcord.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import psycopg

OLDEST_MAJOR = 15
CONNECT_SECS = 10


@contextmanager
def connect(dsn: str) -> "Generator[psycopg.Connection[Any]]":
    """Connect, in autocommit.

    Raises:
        ConfigurationError: the DSN cannot be read.
        Unavailable: the database cannot be reached.
    """
    import psycopg

    try:
        conn = psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECS)
    except psycopg.ProgrammingError:  # never repeated: the text may hold a password
        raise ConfigurationError(
            "DATABASE_URL is neither a URL (postgresql://…) nor a libpq connection string."
        ) from None
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database cannot be reached: {' '.join(str(error).split())}") from None
    with conn:
        yield conn


def problems(dsn: str, settings: Settings) -> list[str]:
    """Return what keeps the database from being served from, each as a sentence that says what to do."""
    return [problem.message for problem in _problems(dsn, settings)]


def require_servable(dsn: str, settings: Settings) -> None:
    """Raise ConfigurationError or Unavailable unless the database may be served from."""
    for problem in _problems(dsn, settings):
        raise problem


def _problems(dsn: str, settings: Settings) -> "Iterator[RuncordError]":
    from runcord.embedded import check_durability
    from runcord.sql import pending

    try:
        with connect(dsn) as conn:
            major = conn.info.server_version // 10_000
            if major < OLDEST_MAJOR:
                yield ConfigurationError(f"PostgreSQL {OLDEST_MAJOR} or later is needed, this is {major}.")
                return
            try:
                check_durability(conn, allow_unsafe=settings.allow_unsafe_database)
            except ConfigurationError as error:
                yield ConfigurationError(f"{error.message} (RUNCORD_ALLOW_UNSAFE_DATABASE=true says so.)")
        missing = pending(dsn)
    except (ConfigurationError, Unavailable) as error:
        yield error
        return
    if missing:
        yield ConfigurationError(f"The database lacks {len(missing)} migration(s): run `runcord migrate`.")


def warnings(dsn: str) -> list[str]:
    """Return what is unwise about the database, though it can be served from; nothing if it cannot be reached."""
    try:
        with connect(dsn) as conn:
            if conn.info.parameter_status("is_superuser") == "on":
                return [
                    f"The server connects as {conn.info.user!r}, a superuser, whom nothing in the database keeps from "
                    "changing what is on record: use a role of its own that owns the database and no more."
                ]
    except (ConfigurationError, Unavailable):
        pass
    return []


def bootstrap(dsn: str, project_id: str, api_key: str | None) -> None:
    """Make the project, and a key with all scopes for it, as far as they are missing. Any number may do so at once.

    Raises:
        ConfigurationError: the key exists and belongs to another project, or was revoked or has expired.
    """
    from runcord.clock import utc_now
    from runcord.http.credentials import create_project
    from runcord.http.key_administration import create_key, find_key
    from runcord.ledger.transaction import Context

    with connect(dsn) as conn:
        create_project(conn, project_id, project_id)
        if api_key is None:
            return
        with conn.transaction():
            # Two servers that start at once would each find the key missing.
            conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"bootstrap:{project_id}",))
            found = find_key(conn, api_key)
            if found is None:
                create_key(dsn, project_id, "bootstrap", secret=api_key, context=Context(actor="bootstrap"))
                return
    owner, key = found
    if owner != project_id:
        raise ConfigurationError(f"The bootstrap API key belongs to project {owner}, not to {project_id}.")
    if key.has_ended(utc_now()):
        raise ConfigurationError(f"The bootstrap API key of project {project_id} was revoked or has expired.")


def masked(dsn: str) -> str:
    """Return a DSN fit to be shown: without its passwords."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        facts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "(cannot be read)"
    return make_conninfo("", **{name: "********" if "password" in name else value for name, value in facts.items()})
