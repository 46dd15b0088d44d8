"""API keys: who speaks, for which project, and what they may do.

Keys are kept as SHA-256 hashes (they are 256 random bits, so no slow hash is needed). What a key may do is cached for
`CACHE_SECS`: whatever ends a key, in whichever process, is felt in every process by then. A key's expiry and the end
of its grace are known beforehand and cut the time short.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from runcord.clock import monotonic
from runcord.errors import Forbidden, Invalid, Unauthenticated, Unavailable
from runcord.handling.keys import Secret
from runcord.ids import new_api_key, new_id
from runcord.key.state import ALL, ApiKey
from runcord.ledger.transaction import Row
from runcord.sql import load
from runcord_projections.key_view.projection import CODEC

SQL = load("runcord.sql", "queries/access.sql")

CACHE_SECS = 1.0
_CACHED = 10_000

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
    """What the database said of a hash; times are of the monotonic clock."""

    key: Key | None
    asked_at: float
    ends_at: float

    def is_fresh(self, now: float) -> bool:
        return now < self.asked_at + CACHE_SECS


_NEVER = float("inf")


class Credentials:
    """Finds keys by what callers send."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]]) -> None:
        self._pool = pool
        self._cache: dict[bytes, _Found] = {}
        self._asking: dict[bytes, asyncio.Task[_Found]] = {}

    async def find(self, secret: str) -> Key:
        """Return the key.

        Raises:
            Unauthenticated: there is none, or it was revoked, has expired, or its grace after a rotation is over.
            Unavailable: the database could not be asked.
        """
        key_hash = hash_key(secret)
        found = self._cache.get(key_hash)
        if found is None or not found.is_fresh(monotonic()):
            found = await self._ask_once(key_hash)
        if found.key is None or found.ends_at <= monotonic():
            raise Unauthenticated("the API key is unknown, revoked or expired: send `Authorization: Bearer <key>`")
        return found.key

    def forget(self, key_id: str) -> None:
        """Ask anew when the key is used next: this process need not wait to feel what it has itself done."""
        self._cache = {
            key_hash: found
            for key_hash, found in self._cache.items()
            if found.key is None or found.key.key_id != key_id
        }

    async def _ask_once(self, key_hash: bytes) -> _Found:
        """Ask the database, once for all the requests that want to know just now."""
        asking = self._asking.get(key_hash)
        if asking is None:
            asking = self._asking[key_hash] = asyncio.create_task(self._ask(key_hash))
            asking.add_done_callback(lambda task: self._asked(key_hash, task))
        return await asyncio.shield(asking)

    def _asked(self, key_hash: bytes, task: "asyncio.Task[_Found]") -> None:
        del self._asking[key_hash]
        if task.cancelled() or task.exception() is not None:  # those who wait are told
            return
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        self._cache[key_hash] = task.result()

    async def _ask(self, key_hash: bytes) -> _Found:
        asked_at = monotonic()
        try:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(SQL["key_of_hash"], {"key_hash": key_hash})).fetchall()
        except (psycopg.OperationalError, PoolTimeout, TooManyRequests) as error:
            raise Unavailable from error
        if not rows:
            return _Found(None, asked_at, _NEVER)
        project_id, key, now = row_of_hash(rows[0])
        ends_at = _NEVER if key.ends_at is None else asked_at + (key.ends_at - now).total_seconds()
        return _Found(Key(project_id, key.key_id, frozenset(key.scopes), key.ends_at), asked_at, ends_at)


def row_of_hash(row: Row) -> tuple[str, ApiKey, datetime]:
    """Return the project, the key and the ledgers' time of a row of `key_of_hash`."""
    project_id, state, now = row
    return project_id, CODEC.decode(state), now


def hash_key(secret: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_key(given: str | None = None) -> tuple[str, Secret]:
    """Return a key, random unless it is given, and what it will be known by."""
    key = given or new_api_key()
    return key, Secret(new_id("key"), key[:12], hash_key(key))


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
