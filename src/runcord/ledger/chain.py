"""The chain of digests: proof that nobody has edited a ledger's history.

Every event's digest covers the one before it and all that the event is, over the stored bytes. Here it is computed
again, by other code than the one that wrote it (`ledger_append`), so that either checks the other.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from runcord.errors import NotFound
from runcord.sql import load

SQL = load("runcord.sql", "queries/ledger.sql")

PAGE_SIZE = 5000

_UNIX_EPOCH_MICROSECONDS = 946_684_800_000_000
"""PostgreSQL counts from the year 2000."""


@dataclass(frozen=True)
class Verification:
    """What a check of a chain has shown: all is well up to position `verified_to`, and what is wrong behind it."""

    ok: bool
    verified_to: int
    first_bad_position: int | None = None
    reason: str | None = None
    digest: bytes | None = field(default=None, compare=False)
    """The digest at `verified_to`, when all is well: keep it somewhere else, as a `Checkpoint`."""


class Checkpoint(NamedTuple):
    """A digest as it was once, kept where nobody who can edit the ledger can edit it too."""

    position: int
    digest: bytes


class Link(NamedTuple):
    """One event as its digest covers it. `recorded_at` in microseconds since 1970, UTC."""

    position: int
    stream_id: str
    version: int
    event_id: UUID
    type: str
    recorded_at: int
    data: bytes
    metadata: bytes
    digest: bytes


def genesis(project_id: str) -> bytes:
    """Return what stands for the digest before the first event."""
    return hashlib.sha256(f"runcord ledger of {project_id}".encode()).digest()


def digest(previous: bytes, link: Link) -> bytes:
    """Return the digest of an event whose predecessor has the digest `previous`.

    SHA-256 of: the previous digest, position (8 bytes), time (8), version (4), event id (16), then stream id, type
    and metadata each after its length (4), then the data. Integers are big-endian and signed, texts are UTF-8.
    """
    covered = hashlib.sha256(previous)
    covered.update(link.position.to_bytes(8, "big", signed=True))
    covered.update(link.recorded_at.to_bytes(8, "big", signed=True))
    covered.update(link.version.to_bytes(4, "big", signed=True))
    covered.update(link.event_id.bytes)
    for part in (link.stream_id.encode(), link.type.encode(), link.metadata):
        covered.update(len(part).to_bytes(4, "big", signed=True))
        covered.update(part)
    covered.update(link.data)
    return covered.digest()


def verify(
    conn: psycopg.Connection[Any],
    project_id: str,
    after: int = 0,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, int], None] = lambda _verified_to, _head: None,
) -> Verification:
    """Check a ledger's chain from the event behind position `after` to its head, and stop at the first fault.

    With `after`, the digest stored there is taken as right. A `checkpoint` at or behind it is held against what is
    stored now: a chain that was made anew fits itself, but not what is known of it from before. Works on one snapshot,
    so writers may go on; `conn` must not be in a transaction. `progress` is told how far it is after each page.

    Raises:
        NotFound: the project has no ledger, or no event at `after`.
    """
    with conn.transaction(), conn.cursor(binary=True) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.adapters.register_loader("timestamptz", _Microseconds)
        head = cursor.execute(SQL["head"], {"project_id": project_id}).fetchone()
        if head is None:
            raise NotFound(f"there is no project {project_id!r}")
        tip, _, tip_digest = head
        if checkpoint is not None and tip < checkpoint.position:
            reason = f"the ledger ends at {tip}, but it once reached {checkpoint.position}"
            return Verification(False, min(after, tip), tip + 1, reason)
        verified_to, previous = after, _digest_at(cursor, project_id, after)
        if _is_rewritten(checkpoint, verified_to, previous):
            return Verification(False, max(after - 1, 0), after, _REWRITTEN)
        while page := _page(cursor, project_id, verified_to, PAGE_SIZE):
            for link in page:
                fault = _fault(link, verified_to + 1, previous)
                if fault is None and _is_rewritten(checkpoint, link.position, link.digest):
                    fault = _REWRITTEN
                if fault is not None:
                    return Verification(False, verified_to, verified_to + 1, fault)
                verified_to, previous = link.position, link.digest
            progress(verified_to, tip)
    if tip > verified_to:
        return Verification(
            False, verified_to, verified_to + 1, f"the ledger's head is at {tip}, but there is no event"
        )
    if tip < verified_to:
        return Verification(False, tip, tip + 1, f"the ledger's head is at {tip}, but there are events behind it")
    if tip_digest != previous:
        return Verification(False, tip - 1, tip, "the head's digest is not the last event's")
    return Verification(True, verified_to, digest=previous)


_REWRITTEN = "the digest is not the one that was kept: history was written anew up to here"


def _is_rewritten(checkpoint: Checkpoint | None, position: int, found: bytes) -> bool:
    return checkpoint is not None and checkpoint.position == position and checkpoint.digest != found


def _fault(link: Link, expected: int, previous: bytes) -> str | None:
    if link.position != expected:
        return f"the event is missing; the next one is at {link.position}"
    if not _fits(link) or digest(previous, link) != link.digest:
        return "the digest does not fit the event and the one before it"
    return None


def _fits(link: Link) -> bool:
    """Whether the time can be written in eight bytes: PostgreSQL's infinity, shifted to 1970, cannot."""
    return -(2**63) <= link.recorded_at < 2**63


def _digest_at(cursor: psycopg.Cursor[Any], project_id: str, position: int) -> bytes:
    if position == 0:
        return genesis(project_id)
    found = _page(cursor, project_id, position - 1, 1)
    if not found or found[0].position != position:
        raise NotFound(f"the ledger has no event at position {position}")
    return found[0].digest


def _page(cursor: psycopg.Cursor[Any], project_id: str, after: int, limit: int) -> list[Link]:
    rows = cursor.execute(SQL["chain_events"], {"project_id": project_id, "after": after, "limit": limit})
    return [Link(*row) for row in rows]


class _Microseconds(Loader):
    """Reads the time exactly as it is stored, whatever Python's datetime makes of it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data, "big", signed=True) + _UNIX_EPOCH_MICROSECONDS
