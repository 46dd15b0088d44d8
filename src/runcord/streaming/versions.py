"""Runs as each of their events left them, folded by the same `evolve` that makes the run view."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from runcord.errors import UnknownEventType
from runcord.ledger import mapper
from runcord.ledger.statements import Read
from runcord.ledger.transaction import Row
from runcord.ledger.view import Change
from runcord.projecting.time_travel import documents
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.run.evolve import evolve
from runcord.run.payload import PAYLOAD_EVENTS, replaces_payload
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.sql import load

log = structlog.get_logger(__name__)

SQL = load("runcord.sql", "queries/subscriptions.sql")
LEDGER_SQL = load("runcord.sql", "queries/ledger.sql")

KEPT_RUNS = 2048
"""How many runs a fold remembers; others are read again when they move."""
KEPT_DOCUMENT_BYTES = 16 * 1024
"""Payloads and results that are larger are read again for each version."""

_PAGE = 500
_STATE_BYTES = 1500


@dataclass(frozen=True)
class Version:
    """A run as the event at `position` left it, with the JSON bytes of its payload and its result."""

    position: int
    run: Run
    payload: bytes | None = None
    result: bytes | None = None
    rendered: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)
    """What readers have made of it: made once for all of them, by the form's name."""

    @property
    def size(self) -> int:
        """About how much memory it takes, in bytes."""
        return _STATE_BYTES + len(self.payload or b"") + len(self.result or b"")


def version_of_row(row: Row) -> Version:
    """Return the version in a row of the run view: position, state, payload, result."""
    position, state, payload, result = row
    return Version(position, mapper.RUNS.decode(state), payload, result)


class _Unknown:
    """In place of a document that was not read."""


_UNKNOWN = _Unknown()
_Document = bytes | None | _Unknown


@dataclass
class _Known:
    """A run after the event of a number. The run is none, or older, where an event's type is not known."""

    number: int = 0
    run: Run | None = None
    payload: _Document = None
    result: _Document = None


class Fold:
    """The runs of one project, from event to event. Whatever is not remembered is read, so it may forget anything."""

    def __init__(self, read: Read, project_id: str) -> None:
        self._read = read
        self._project_id = project_id
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def versions(self, rows: Sequence[Row], wanted: Callable[[Run], bool]) -> list[Version]:
        """Return the wanted runs as each of some events left them.

        `rows` are events as the statements of the ledger give them, in order: of each run without a hole.
        """
        with self._all_or_nothing():
            await self._remember_before(rows)
            found = [version for row in rows if (version := self._step(row, wanted)) is not None]
            versions = [await self._whole(version) for version in found]
            self._keep_small({row[0] for row in rows})
        return versions

    async def versions_of(self, changes: Sequence[Change], wanted: Callable[[Run], bool]) -> list[Version]:
        """Return the same of changes to runs that this process has made, whose events need not be read."""
        with self._all_or_nothing():
            for change in changes:
                self._remember_change(change)
            recorded = sorted((one for change in changes for one in change.recorded), key=lambda one: one.position)
            found: list[_Found] = []
            for one in recorded:
                known = self._known[one.stream_id]
                self._follow(known, one)
                if (run := known.run) is not None and wanted(run):
                    found.append(_Found(one.position, run, known.payload, known.result))
            versions = [await self._whole(version) for version in found]
            self._keep_small({change.stream_id for change in changes})
        return versions

    @contextmanager
    def _all_or_nothing(self) -> Generator[None]:
        """Forget everything if it fails: it may have got further than its caller has heard."""
        try:
            yield
        except BaseException:
            self._known.clear()
            raise

    def _keep_small(self, run_ids: Collection[str]) -> None:
        """Forget large documents, and the runs that have not moved for the longest time."""
        for run_id in run_ids:
            known = self._known[run_id]
            known.payload, known.result = _small(known.payload), _small(known.result)
        while len(self._known) > KEPT_RUNS:
            self._known.popitem(last=False)

    def _remember_change(self, change: Change) -> None:
        """Know a run as it was before a change."""
        before: Run | None = change.before
        number = change.recorded[0].version - 1
        known = self._known.get(change.stream_id)
        if known is None or known.number != number:
            is_completed = before is not None and before.status == Status.COMPLETED
            documents = None if before is None else _UNKNOWN, _UNKNOWN if is_completed else None
            self._known[change.stream_id] = _Known(number, before, *documents)
        self._known.move_to_end(change.stream_id)

    async def _remember_before(self, rows: Sequence[Row]) -> None:
        """Know each run as it was before the first of its events."""
        first: dict[str, int] = {}
        for run_id, version, *_ in rows:
            first.setdefault(run_id, version)
        missing: dict[str, int] = {}
        for run_id, version in first.items():
            known = self._known.get(run_id)
            if known is None or known.number != version - 1:
                self._known[run_id] = _Known()
                if version > 1:
                    missing[run_id] = version - 1
            self._known.move_to_end(run_id)
        ids = list(missing)
        for start in range(0, len(ids), _PAGE):
            await self._restore({run_id: missing[run_id] for run_id in ids[start : start + _PAGE]})

    async def _restore(self, wanted: dict[str, int]) -> None:
        params = {"run_ids": list(wanted), "versions": list(wanted.values()), "limit": _PAGE}
        for row in await self._read(SQL["runs_before"], {"project_id": self._project_id, **params}):
            self._replay(row)
        for run_id, until in wanted.items():
            known = self._known[run_id]
            while known.number < until:  # a long history, and no snapshot near
                place = {"stream_id": run_id, "after": known.number, "until": until, "limit": _PAGE}
                rows = await self._read(LEDGER_SQL["stream_events"], {"project_id": self._project_id, **place})
                assert rows, f"{run_id} has no version {until}"
                for row in rows:
                    self._replay(row)

    def _replay(self, row: Row) -> None:
        known = self._known[row[0]]
        if row[5] is not None:
            self._evolve(known, row)
            return
        known.number, known.run = row[1], mapper.RUNS.decode(row[6])
        known.payload = _UNKNOWN
        known.result = _UNKNOWN if known.run.status == Status.COMPLETED else None

    def _step(self, row: Row, wanted: Callable[[Run], bool]) -> "_Found | None":
        known = self._known[row[0]]
        self._evolve(known, row)
        run = known.run
        return _Found(row[2], run, known.payload, known.result) if run is not None and wanted(run) else None

    def _evolve(self, known: _Known, row: Row) -> None:
        known.number = row[1]
        try:
            recorded: Recorded[Any] = mapper.recorded(row)
        except UnknownEventType as error:
            log.warning("event_not_decoded", stream_id=row[0], version=row[1], error=error.message)
            return
        self._follow(known, recorded)

    def _follow(self, known: _Known, recorded: Recorded[Any]) -> None:
        known.number = recorded.version
        known.run = evolve(known.run, recorded)
        event = recorded.event
        if isinstance(event, e.Completed):
            known.result = None if event.result is None else mapper.to_json(event.result)
        elif isinstance(event, PAYLOAD_EVENTS):
            if replaces_payload(event):
                payload = event.payload
                known.payload = None if payload is None else mapper.to_json(payload)
            elif isinstance(event, e.Batched):
                known.payload = _UNKNOWN

    async def _whole(self, found: "_Found") -> Version:
        if isinstance(found.payload, _Unknown) or isinstance(found.result, _Unknown):
            read = await documents(self._read, self._project_id, found.run)
            return Version(found.position, found.run, read.payload, read.result)
        return Version(found.position, found.run, found.payload, found.result)


@dataclass(frozen=True)
class _Found:
    position: int
    run: Run
    payload: _Document
    result: _Document


def _small(document: _Document) -> _Document:
    return document if not isinstance(document, bytes) or len(document) <= KEPT_DOCUMENT_BYTES else _UNKNOWN


def latest(versions: Iterable[Version]) -> list[Version]:
    """Return of each run its last version, in the order of the positions."""
    found: dict[str, Version] = {}
    for version in versions:
        found.pop(version.run.run_id, None)
        found[version.run.run_id] = version
    return list(found.values())
