"""API keys: who speaks, for which project, and what they may do.

Keys are kept as SHA-256 hashes (they are 256 random bits, so no slow hash is needed). What a key may do is cached
for a few seconds, so a revocation is felt everywhere within `CACHE_SECS`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from runcord.clock import monotonic, utc_now
from runcord.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from runcord.ids import new_api_key, new_id
from runcord.ledger.transaction import Row
from runcord.sql import load

SQL = load("runcord.sql", "queries/access.sql")

CACHE_SECS = 5.0
_CACHED = 10_000

ALL_SCOPES = (
    "runs:read",
    "runs:write",
    "runs:work",
    "jobs:read",
    "jobs:write",
    "jobs:trigger",
    "events:send",
    "api-keys:manage",
    "projects:manage",
)
"""What a key may be given. A key without scopes may do nothing; `*` stands for all."""


@dataclass(frozen=True)
class Key:
    """A key that was found good. `actor` is how the ledger names who used it."""

    project_id: str
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None

    @property
    def actor(self) -> str:
        """The name of this key in events."""
        return f"apikey:{self.key_id}"

    def require(self, *scopes: str) -> None:
        """Raise Forbidden unless the key has one of the scopes."""
        if self.scopes.isdisjoint((*scopes, "*")):
            raise Forbidden(f"insufficient permissions: requires {' or '.join(scopes)}")


@dataclass(frozen=True)
class NewKey:
    """A key just made; `secret` is shown once and kept nowhere."""

    key_id: str
    secret: str
    prefix: str


@dataclass(frozen=True)
class KeyFacts:
    """What is known of a key; its secret is not."""

    key_id: str
    name: str
    prefix: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Credentials:
    """Finds keys by what callers send."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Row]]) -> None:
        self._pool = pool
        self._cache: dict[bytes, tuple[float, Key | None]] = {}

    async def find(self, secret: str) -> Key:
        """Return the key.

        Raises:
            Unauthenticated: there is none, or it was revoked or has expired.
            Unavailable: the database could not be asked.
        """
        key_hash = hash_key(secret)
        now = monotonic()
        cached = self._cache.get(key_hash)
        if cached is None or cached[0] <= now:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            cached = self._cache[key_hash] = (now + CACHE_SECS, await self._load(key_hash))
        key = cached[1]
        if key is None or (key.expires_at is not None and key.expires_at <= utc_now()):
            raise Unauthenticated("the API key is unknown, revoked or expired: send `Authorization: Bearer <key>`")
        return key

    async def create(
        self, project_id: str, name: str, scopes: Sequence[str], expires_at: datetime | None = None
    ) -> NewKey:
        """Make a key with a random secret. Raises Unavailable."""
        key = _new_key()
        await self._execute("create_key", _row(key, project_id, name, scopes, expires_at))
        return key

    async def of_project(self, project_id: str) -> list[KeyFacts]:
        """Return the project's keys, oldest first, revoked ones included. Raises Unavailable."""
        return [KeyFacts(*row) for row in await self._execute("keys", {"project_id": project_id})]

    async def revoke(self, project_id: str, key_id: str) -> None:
        """Make a key useless: here at once, in other processes within `CACHE_SECS`. Revoking twice does no harm.

        Raises:
            NotFound: the project has no such key.
            Unavailable: the database could not be asked.
        """
        if not await self._execute("revoke_key", {"project_id": project_id, "key_id": key_id}):
            raise NotFound(f"there is no API key {key_id[:128]!r} in this project")
        self._cache = {hash_: entry for hash_, entry in self._cache.items() if not _is(entry[1], key_id)}

    async def _execute(self, statement: str, params: Mapping[str, Any]) -> list[Row]:
        try:
            async with self._pool.connection() as conn:
                cursor = await conn.execute(SQL[statement], params)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, PoolTimeout, TooManyRequests) as error:
            raise Unavailable from error

    async def _load(self, key_hash: bytes) -> Key | None:
        rows = await self._execute("key_of_hash", {"key_hash": key_hash})
        if not rows:
            return None
        project_id, key_id, scopes, revoked_at, expires_at = rows[0]
        return None if revoked_at is not None else Key(project_id, key_id, frozenset(scopes), expires_at)


def hash_key(secret: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def create_project(conn: psycopg.Connection[Any], project_id: str, name: str) -> None:
    """Make a project and open its ledger; one that is there is left as it is."""
    with conn.transaction():
        conn.execute(SQL["create_project"], {"project_id": project_id, "name": name})
        conn.execute(SQL["open_ledger"], {"project_id": project_id})


def create_key(
    conn: psycopg.Connection[Any],
    project_id: str,
    name: str,
    *,
    scopes: Sequence[str] = ("*",),
    secret: str | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key; `secret` fixes it (bootstrap), otherwise it is random."""
    key = _new_key(secret)
    conn.execute(SQL["create_key"], _row(key, project_id, name, scopes, expires_at))
    return key


def ensure_key(conn: psycopg.Connection[Any], project_id: str, name: str, secret: str) -> None:
    """Make a key with this secret and all scopes unless it is there."""
    if conn.execute(SQL["key_of_hash"], {"key_hash": hash_key(secret)}).fetchone() is None:
        create_key(conn, project_id, name, secret=secret)


def check_scopes(scopes: Sequence[str], grantor: Key) -> None:
    """Raise unless all scopes are known, and are those of whoever grants them.

    Raises:
        Invalid: a scope is not known.
        Forbidden: the grantor does not have it.
    """
    for scope in scopes:
        if scope != "*" and scope not in ALL_SCOPES:
            raise Invalid(f"there is no scope {scope!r}: choose from {', '.join(ALL_SCOPES)}, or `*` for all")
        if scope not in grantor.scopes and "*" not in grantor.scopes:
            raise Forbidden(f"a key cannot grant what it does not have itself: {scope}")


def _new_key(secret: str | None = None) -> NewKey:
    secret = secret or new_api_key()
    return NewKey(new_id("key"), secret, secret[:12])


def _row(key: NewKey, project_id: str, name: str, scopes: Sequence[str], expires_at: datetime | None) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "key_id": key.key_id,
        "name": name,
        "key_hash": hash_key(key.secret),
        "key_prefix": key.prefix,
        "scopes": list(scopes),
        "expires_at": expires_at,
    }


def _is(key: Key | None, key_id: str) -> bool:
    return key is not None and key.key_id == key_id
