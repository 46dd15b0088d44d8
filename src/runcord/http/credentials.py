"""API keys: who speaks, for which project, and what they may do.

Keys are kept as SHA-256 hashes (they are 142 random bits or more, so no slow hash is needed); those that clients sign
public tokens with are kept sealed besides. What a key may do is remembered for a second: whatever ends a key, in
whichever process, is felt in every process by then. A key's expiry and the end of its grace are known beforehand and
cut the time short.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from runcord.clock import monotonic
from runcord.errors import Forbidden, Invalid, Unauthenticated, Unavailable
from runcord.handling.keys import Secret, seal_name
from runcord.handling.sealing import Sealer
from runcord.http.remembered import Remembered
from runcord.ids import new_api_key, new_id, random_characters
from runcord.key.form import Environment, Form, beginning_of, characters_of, form_of, is_signed_with
from runcord.key.state import ALL, ApiKey
from runcord.ledger.transaction import Row
from runcord.sql import load
from runcord_projections.key_view.projection import CODEC

SQL = load("runcord.sql", "queries/access.sql")

ALL_SCOPES = (
    "runs:read",
    "runs:write",
    "runs:work",
    "jobs:read",
    "jobs:write",
    "jobs:trigger",
    "events:send",
    "stats:read",
    "api-keys:manage",
    "projects:manage",
    "projections:read",
    "projections:manage",
)
"""What a key may be given. A key without scopes may do nothing; `*` stands for all."""


@dataclass(frozen=True)
class Key:
    """A key that was found good. `actor` is how the ledger names who used it."""

    project_id: str
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None
    """From when on it opens nothing: its expiry, or the end of its grace after a rotation."""
    form: Form | None = None

    @property
    def actor(self) -> str:
        """The name of this key in events."""
        return f"apikey:{self.key_id}"

    def require(self, *scopes: str) -> None:
        """Raise Forbidden unless the key has one of the scopes."""
        if self.scopes.isdisjoint((*scopes, ALL)):
            raise Forbidden(f"insufficient permissions: requires {' or '.join(scopes)}")


@dataclass(frozen=True)
class _Found:
    """What the database said of a hash; the end is of the monotonic clock."""

    key: Key | None
    ends_at: float


_NEVER = float("inf")


class Credentials:
    """Finds keys by what callers send."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]]) -> None:
        self._pool = pool
        self._found = Remembered(self._ask)

    def known(self, secret: str) -> Key | None:
        """Return the key, if it was found good a moment ago."""
        found = self._found.known(hash_key(secret))
        return None if found is None or found.ends_at <= monotonic() else found.key

    async def find(self, secret: str) -> Key:
        """Return the key.

        Raises:
            Unauthenticated: there is none, or it was revoked, has expired, or its grace after a rotation is over.
            Unavailable: the database could not be asked.
        """
        found = await self._found.get(hash_key(secret))
        if found.key is None or found.ends_at <= monotonic():
            raise Unauthenticated("the API key is unknown, revoked or expired: send `Authorization: Bearer <key>`")
        return found.key

    def forget(self, key_id: str) -> None:
        """Ask anew when the key is used next."""
        self._found.forget(lambda _, found: found.key is not None and found.key.key_id == key_id)

    async def _ask(self, key_hash: bytes) -> _Found:
        asked_at = monotonic()
        try:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(SQL["key_of_hash"], {"key_hash": key_hash})).fetchall()
        except (psycopg.OperationalError, PoolTimeout, TooManyRequests) as error:
            raise Unavailable from error
        if not rows:
            return _Found(None, _NEVER)
        project_id, key, now = row_of_hash(rows[0])
        return _Found(key_of(project_id, key), end_of(key, now, asked_at))


def key_of(project_id: str, key: ApiKey) -> Key:
    """Return what calls need to know of a key."""
    return Key(project_id, key.key_id, frozenset(key.scopes), key.ends_at, key.form)


def end_of(key: ApiKey, ledger_now: datetime, asked_at: float) -> float:
    """Return when a key ends by the monotonic clock, which showed `asked_at` at the ledgers' time `ledger_now`."""
    return _NEVER if key.ends_at is None else asked_at + (key.ends_at - ledger_now).total_seconds()


def row_of_hash(row: Row) -> tuple[str, ApiKey, datetime]:
    """Return the project, the key and the ledgers' time of a row of `key_of_hash`."""
    project_id, state, now = row
    return project_id, CODEC.decode(state), now


def hash_key(secret: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_key(
    project_id: str,
    sealer: Sealer,
    *,
    form: Form | None = None,
    environment: Environment | None = None,
    given: str | None = None,
) -> tuple[str, Secret]:
    """Return a key, random and of that form unless it is given, and what it will be known by."""
    if given is None and form is not None:
        given = beginning_of(form, environment or "prod") + random_characters(characters_of(form))
    key = given or new_api_key()
    form, environment = form_of(key)
    key_id = new_id("key")
    sealed = sealer.seal(project_id, seal_name(key_id), key) if is_signed_with(form) else None
    return key, Secret(key_id, key[:12], hash_key(key), sealed, form, environment)


def create_project(conn: psycopg.Connection[Any], project_id: str, name: str) -> None:
    """Make a project and open its ledger; one that is there is left as it is."""
    with conn.transaction():
        conn.execute(SQL["create_project"], {"project_id": project_id, "name": name})
        conn.execute(SQL["open_ledger"], {"project_id": project_id})


def check_scopes(scopes: Sequence[str]) -> None:
    """Raise Invalid unless all scopes are known."""
    for scope in scopes:
        if scope != ALL and scope not in ALL_SCOPES:
            raise Invalid(f"there is no scope {scope!r}: choose from {', '.join(ALL_SCOPES)}, or `*` for all")
