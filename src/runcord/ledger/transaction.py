"""What a command handler sees and does while it holds a ledger's lock.

A batch of commands shares one transaction. Each handler works on the states as the handlers before it left
them; one that raises leaves nothing behind.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from runcord.errors import InternalError, RuncordError
from runcord.ids import new_event_id
from runcord.ledger.channel import Channel, Row
from runcord.ledger.mapper import to_json
from runcord.ledger.view import Change, InlineView, Statement
from runcord.recorded import Recorded

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

_MAX_KEPT = 1000


@dataclass(frozen=True)
class Context:
    """Who wants something, in which request: the metadata of every event that comes of it."""

    actor: str
    request_id: str | None = None
    trace: str | None = None
    causation: str | None = None
    received: float | None = None
    """When the request came, by `clock.monotonic`; kept by nobody."""

    def metadata(self) -> dict[str, str]:
        """Return the members that are known and kept."""
        return {name: value for name, value in self.__dict__.items() if value is not None and name != "received"}


class Question(Protocol):
    """Something to read under the lock, asked before the batch is handled so that all reads share one trip.

    Handlers of one batch that ask the same thing share the question, and may widen it while it is prepared.
    """

    def statement(self, project_id: str) -> Statement:
        """Return the query; `ledger_now()` in it is the ledger's time, give or take the trip."""
        ...


@dataclass
class Plan:
    """What the handlers of a batch want to have read: states by stream id, and rows by question."""

    stream_ids: set[str] = field(default_factory=set[str])
    questions: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])

    def need(self, *stream_ids: str) -> None:
        """Have the states of these streams read."""
        self.stream_ids.update(stream_ids)

    def ask(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the question of that key, made by the first who asks."""
        if key not in self.questions:
            self.questions[key] = make()
        return self.questions[key]


class Handler(Protocol[R_co]):
    """One command, ready to be executed; it may be executed again from the start if a transaction failed."""

    @property
    def context(self) -> Context:
        """Who wants it."""
        ...

    @property
    def weight(self) -> int:
        """Roughly how many events will come of it."""
        ...

    def prepare(self, plan: Plan) -> None:
        """Say what to read."""
        ...

    def handle(self, tx: "Transaction") -> R_co:
        """Decide, record events, and return the answer. Raises a `RuncordError` to refuse."""
        ...


@dataclass
class Stream:
    """A stream as the transaction knows it: where it was, where it is."""

    version: int
    before: Any
    after: Any
    recorded: list[Recorded[Any]] = field(default_factory=list[Recorded[Any]])


@dataclass
class _Undo:
    streams: dict[str, tuple[int, Any, int]]
    events: int
    writes: int
    actions: list[Callable[[], None]]


@dataclass
class _Aftermath:
    action: Callable[[RuncordError | None], None]
    refusal: RuncordError | None = None


class Transaction:
    """The ledger of one project, locked, at one time."""

    def __init__(
        self,
        channel: Channel,
        project_id: str,
        position: int,
        at: datetime,
        views: Mapping[str, InlineView],
        dependencies_position: int,
        kept: dict[Hashable, tuple[Hashable, Any]],
    ) -> None:
        self.project_id = project_id
        self.at = at
        self.base = position
        self.dependencies_position = dependencies_position
        """The position of the last change to what jobs depend on; 0 as long as no job ever did on any."""
        self.events: list[Recorded[Any]] = []
        self.metadata: list[bytes] = []
        self.writes: list[Statement] = []
        self._channel = channel
        self._views = views
        self._streams: dict[str, Stream | None] = {}
        self._answers: dict[Hashable, list[Row]] = {}
        self._memory: dict[Hashable, Any] = {}
        self._kept = kept
        self._context: Context | None = None
        self._context_members: dict[str, str] = {}
        self._context_bytes = b"{}"
        self._undo = _Undo({}, 0, 0, [])
        self._afterwards: list[_Aftermath] = []

    @property
    def context(self) -> Context:
        """Who wants what the present handler does."""
        assert self._context is not None
        return self._context

    # --- reading --------------------------------------------------------------------------------------

    def state(self, stream_id: str) -> Any:
        """Return the present state of a stream, or None when there is none."""
        if stream_id not in self._streams:
            self.load([stream_id])
        stream = self._streams[stream_id]
        return None if stream is None else stream.after

    def load(self, stream_ids: Sequence[str]) -> None:
        """Read states that nobody had prepared; one trip for each kind of stream."""
        missing = [stream_id for stream_id in stream_ids if stream_id not in self._streams]
        for view, ids in by_view(self._views, missing).items():
            self.accept(view, ids, self._channel.fetch(*view.load(self.project_id, ids)))
        for stream_id in missing:
            self._streams.setdefault(stream_id, None)

    def query(self, statement: bytes, params: Mapping[str, Any]) -> list[Row]:
        """Run a query under the lock: for what could not be known before; each costs a trip."""
        return self._channel.fetch(statement, {"project_id": self.project_id, **params})

    def states(self, kind: type[T]) -> list[T]:
        """Return the states of that kind that this transaction knows already."""
        return [s.after for s in self._streams.values() if s is not None and isinstance(s.after, kind)]

    def recorded(self, stream_id: str) -> Sequence[Recorded[Any]]:
        """Return what this transaction has recorded on a stream so far."""
        stream = self._streams.get(stream_id)
        return () if stream is None else stream.recorded

    def asked(self, key: Hashable) -> bool:
        """Return whether somebody has asked the question of that key."""
        return key in self._answers

    def answer(self, key: Hashable) -> list[Row]:
        """Return the rows that the question of that key brought."""
        return self._answers[key]

    def memory(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what the handlers of this transaction share under that key. Changes need `on_undo`."""
        if key not in self._memory:
            self._memory[key] = make()
        return self._memory[key]

    def recall(self, key: Hashable, stamp: Hashable, make: Callable[[], T]) -> T:
        """Return what was made under that key when the stamp was this one, perhaps by an earlier transaction.

        What is kept must not be changed, and must be right for as long as the stamp, read under the lock, is the same.
        """
        known = self._kept.get((self.project_id, key))
        if known is None or known[0] != stamp:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            known = self._kept[self.project_id, key] = (stamp, make())
        return known[1]

    # --- writing --------------------------------------------------------------------------------------

    def create(self, stream_id: str, *events: Any) -> Any:
        """Begin a stream whose id is new, so that nothing has to be looked up; return its state."""
        self._streams.setdefault(stream_id, None)
        return self.record(stream_id, *events)

    def record(self, stream_id: str, *events: Any) -> Any:
        """Append events to a stream and return its state after them."""
        self.state(stream_id)
        stream = self._streams[stream_id]
        if stream is None:
            stream = self._streams[stream_id] = Stream(0, None, None)
        self._undo.streams.setdefault(stream_id, (stream.version, stream.after, len(stream.recorded)))
        view = self._views[prefix_of(stream_id)]
        for event in events:
            stream.version += 1
            recorded = Recorded(
                stream_id=stream_id,
                version=stream.version,
                position=self.base + len(self.events) + 1,
                at=self.at,
                event_id=new_event_id(),
                metadata=self._context_members,
                event=event,
            )
            stream.after = view.evolve(stream.after, recorded)
            stream.recorded.append(recorded)
            self.events.append(recorded)
            self.metadata.append(self._context_bytes)
        return stream.after

    def write(self, statement: bytes, params: Mapping[str, Any]) -> None:
        """Have rows written that are no events, with the events of this transaction or not at all.

        This happens before the projections write theirs.
        """
        self.writes.append((statement, {"project_id": self.project_id, **params}))

    def on_undo(self, action: Callable[[], None]) -> None:
        """Have `action` called if the present handler is refused after all."""
        self._undo.actions.append(action)

    def afterwards(self, action: Callable[[RuncordError | None], None]) -> None:
        """Have `action` called once the present handler is done, and what it was refused for, if it was, taken back.

        It is told the refusal, and what it records stays.
        """
        self._afterwards.append(_Aftermath(action))

    def isolate(self, action: Callable[[], T]) -> T:
        """Return what `action` returns; if it raises, take back what it did, and nothing of what was done before."""
        outer, self._undo = self._undo, self._here()
        aftermath = len(self._afterwards)
        try:
            result = action()
        except BaseException as error:
            self.undo()
            self._undo = outer
            for one in self._afterwards[aftermath:]:
                one.refusal = one.refusal or (error if isinstance(error, RuncordError) else InternalError())
            raise
        inner, self._undo = self._undo, outer
        for stream_id, before in inner.streams.items():
            outer.streams.setdefault(stream_id, before)
        outer.actions.extend(inner.actions)
        return result

    # --- for the committer ----------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The position of the last event so far."""
        return self.base + len(self.events)

    @property
    def event_ids(self) -> list[UUID]:
        """The ids of the events, in order."""
        return [recorded.event_id for recorded in self.events]

    def accept(self, view: InlineView, stream_ids: Sequence[str], rows: Sequence[Row]) -> None:
        """Take rows that a view's `load` brought."""
        for stream_id, version, stored in rows:
            state = view.decode(stored)
            self._streams[stream_id] = Stream(version, state, state)
        for stream_id in stream_ids:
            self._streams.setdefault(stream_id, None)

    def accept_state(self, stream_id: str, version: int, state: Any) -> None:
        """Take a state that a question brought along, unless the stream is known already."""
        if self._streams.get(stream_id) is None:
            self._streams[stream_id] = Stream(version, state, state)

    def accept_answer(self, key: Hashable, rows: list[Row]) -> None:
        """Take rows that a question brought."""
        self._answers[key] = rows

    def begin(self, context: Context) -> None:
        """Start the next handler."""
        if context is not self._context:
            self._context = context
            self._context_members = context.metadata()
            self._context_bytes = to_json(self._context_members)
        self._undo = self._here()

    def undo(self) -> None:
        """Take back all that the present handler did."""
        for stream_id, (version, state, recorded) in self._undo.streams.items():
            stream = self._streams[stream_id]
            if stream is None or (version == 0 and stream.before is None):
                self._streams[stream_id] = None
            else:
                stream.version, stream.after = version, state
                del stream.recorded[recorded:]
        del self.events[self._undo.events :]
        del self.metadata[self._undo.events :]
        del self.writes[self._undo.writes :]
        for action in reversed(self._undo.actions):
            action()

    def finish(self, refusal: RuncordError | None) -> None:
        """End the present handler, which came to that."""
        if self._afterwards:
            aftermath, self._afterwards = self._afterwards, []
            for one in aftermath:
                one.action(one.refusal or refusal)

    def _here(self) -> _Undo:
        return _Undo({}, len(self.events), len(self.writes), [])

    def changes(self) -> list[Change]:
        """Return what all handlers did, stream by stream."""
        return [
            Change(stream_id, stream.before, stream.after, stream.recorded)
            for stream_id, stream in self._streams.items()
            if stream is not None and stream.recorded
        ]


def prefix_of(stream_id: str) -> str:
    """Return the part of a stream id that tells its kind, with the underscore."""
    return stream_id[: stream_id.find("_") + 1]


def by_view(views: Mapping[str, InlineView], stream_ids: Sequence[str]) -> dict[InlineView, list[str]]:
    """Sort stream ids by the views that hold them; ids of no known kind are left out."""
    sorted_ids: dict[InlineView, list[str]] = {}
    for stream_id in stream_ids:
        view = views.get(prefix_of(stream_id))
        if view is not None:
            sorted_ids.setdefault(view, []).append(stream_id)
    return sorted_ids
