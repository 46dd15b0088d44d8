"""Settings, from the environment alone. Each is documented in `docs/reference/settings.md` (a test compares)."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runcord.dispatch.addresses import networks
from runcord.errors import ConfigurationError


def default_state_dir() -> Path:
    """Return where `runcord dev` keeps its data unless told otherwise."""
    return Path("~/.local/share/runcord").expanduser()


def _networks(value: str | None) -> str | None:
    networks(value or "")
    return value


class Settings(BaseSettings):
    """What an operator may set. Names are `RUNCORD_` and the field's name in capitals, unless noted."""

    model_config = SettingsConfigDict(env_prefix="RUNCORD_", extra="ignore", populate_by_name=True)

    database_url: Annotated[
        SecretStr | None,
        Field(
            validation_alias=AliasChoices("DATABASE_URL", "RUNCORD_DATABASE_URL"),
            description="PostgreSQL 15 or later, as a URL or a libpq connection string. Also read as `DATABASE_URL`.",
        ),
    ] = None
    state_dir: Annotated[
        Path, Field(default_factory=default_state_dir, description="Where `runcord dev` keeps its database and keys.")
    ]
    host: Annotated[str, Field(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")] = 8787
    workers: Annotated[int, Field(ge=1, le=64, description="How many server processes `runcord serve` runs.")] = 1
    writers: Annotated[
        int, Field(ge=1, le=32, description="Committer threads, each with a connection, in each process.")
    ] = 2
    readers: Annotated[int, Field(ge=1, le=200, description="Read connections, at most, in each process.")] = 8
    secret_key: Annotated[
        SecretStr | None,
        Field(
            min_length=32,
            description="Signs run tokens and seals jobs' secrets, 32 characters or more. Without it, one is made and "
            "kept in the database. If it changes, tokens end and jobs need their secrets anew.",
        ),
    ] = None
    bootstrap_project: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="A project to make at the start, if missing."),
    ] = None
    bootstrap_api_key: Annotated[
        SecretStr | None,
        Field(min_length=16, description="An API key with all scopes for the bootstrap project."),
    ] = None
    dispatch_concurrency: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="How many requests to endpoints each process has under way, at most; 0 sends none. One job "
            "alone takes half of them, so that others find room.",
        ),
    ] = 128
    dispatch_allow: Annotated[
        str | None,
        AfterValidator(_networks),
        Field(
            description="Networks that endpoints may be in beside the public internet: `10.1.0.0/16, fd00::/8`. "
            "`runcord dev` allows loopback unless this is set.",
        ),
    ] = None
    dispatch_lease_secs: Annotated[
        float,
        Field(
            ge=1,
            le=3600,
            description="How long the runs that a dead process was sending wait for another. Renewed meanwhile.",
        ),
    ] = 30
    max_body_bytes: Annotated[
        int, Field(ge=1024, le=64 * 1024 * 1024, description="The largest request body that is read.")
    ] = 1024 * 1024
    request_timeout_secs: Annotated[
        float, Field(gt=0, le=300, description="How long the head of a request may take to arrive, and then its body.")
    ] = 30
    streams: Annotated[
        int, Field(ge=1, le=100_000, description="Open streams, at most, in each process; more are answered 503.")
    ] = 5000
    streams_per_project: Annotated[
        int,
        Field(ge=1, le=100_000, description="Open streams of a project, at most, in each process; more: 429."),
    ] = 2000
    stream_keepalive_secs: Annotated[
        float, Field(gt=0, le=15, description="How long a stream may be silent before a comment is sent.")
    ] = 10
    realtime_hold_secs: Annotated[
        float,
        Field(
            gt=0,
            le=25,
            description="How long a poll of Trigger.dev's realtime is held while nothing happens. Proxies in between "
            "must wait for longer.",
        ),
    ] = 20
    chunk_retention_hours: Annotated[
        float, Field(gt=0, le=10 * 366 * 24, description="How long chunks that workers have streamed are kept.")
    ] = 30 * 24
    rebuild_events_per_sec: Annotated[
        int,
        Field(
            ge=0,
            le=10_000_000,
            description="How fast projections are rebuilt, at most, in events of the ledger a second; 0 is as fast as "
            "it goes, with less of the processor than what serves requests.",
        ),
    ] = 0
    allow_unsafe_database: Annotated[
        bool,
        Field(description="Serve from a database with fsync, full_page_writes or synchronous_commit off. Loses data."),
    ] = False
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$", description="The least level logged.")] = (
        "info"
    )
    log_format: Annotated[str, Field(pattern="^(json|console)$", description="`json` lines, or `console` text.")] = (
        "json"
    )


def load_settings(**overrides: object) -> Settings:
    """Return the settings, `overrides` (those that are not None) laid over the environment.

    Raises:
        ConfigurationError: a setting cannot be used; the message names it and never shows a secret.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        problems = "; ".join(
            f"{'RUNCORD_' + str(problem['loc'][0]).upper() if problem['loc'] else 'settings'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(problems) from None
