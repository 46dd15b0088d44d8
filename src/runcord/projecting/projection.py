"""What a projection is: a read model that is folded from the ledger, row by row.

A projection says which events it reads, which of its rows each of them concerns, and how a row is after it. It never
reads or writes anything itself: rows are loaded, folded and stored by `runcord.projecting.folding`, together with the
position they are true at. So any number of generations of it can be built from the log beside the one that is read,
and the same history always gives the same rows.

Other packages bring projections by the entry point group `runcord.projections`; each entry is an instance.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, LiteralString, NamedTuple, TypeVar
from uuid import UUID

from runcord.projecting.table import Table
from runcord.recorded import Recorded
from runcord.run.build import named_tuple
from runcord.run.outline import evolve_outline
from runcord.run.state import Run
from runcord.run.stretches import Stretch

__all__ = ["AnyProjection", "BatchProjection", "Projection", "Step", "Stretch", "Table", "steps_of"]

NO_ID = UUID(int=0)
NO_METADATA: Mapping[str, Any] = {}

R = TypeVar("R", bound=tuple[Any, ...])
N = TypeVar("N")


class Step(NamedTuple):
    """One event and what it did.

    `before` and `after` are the run, for events of runs; None before its first event, and for all other events.
    """

    before: Run | None
    recorded: Recorded[Any]
    after: Run | None


def steps_of(stretch: Stretch) -> Iterator[Step]:
    """Iterate over the steps of a stretch, with outlines."""
    run_id, after = stretch.run.run_id, None if stretch.way.is_new else stretch.run
    for event, version, position, at in zip(
        stretch.events, stretch.versions, stretch.positions, stretch.times, strict=True
    ):
        recorded = Recorded(run_id, version, position, at, NO_ID, NO_METADATA, event)
        before, after = after, evolve_outline(after, recorded)
        yield named_tuple(Step, (before, recorded, after))


class BatchProjection(ABC, Generic[R, N]):
    """A read model that goes over whole batches. What is a class variable here is fixed for ever, but for `version`.

    It notes of a batch what each of its rows has to know, once for all of them; `Projection` is the plain kind, whose
    notes are the steps themselves. Its rows depend on nothing but the steps it was shown, in their order.
    """

    name: ClassVar[str]
    """Unique, and never changed: its rows are found by it."""
    version: ClassVar[int] = 1
    """Is raised when the same history would give other rows: a new generation is then built, and takes over."""
    reads: ClassVar[frozenset[type]]
    """The classes of the events that it is shown."""
    table: ClassVar[Table[Any]]
    create: ClassVar[LiteralString | None] = None
    """SQL that makes the table and its indexes unless they are there, for projections that come from other packages:
    a server executes it when it starts. Tables of Runcord's own are made by its migrations."""
    outlined: ClassVar[bool] = False
    """Whether it goes by what outlines have (`runcord.run.outline`): its steps may hold outlines for runs, of events no
    more than is read for them, and neither ids nor metadata. That is several times as fast."""
    every: ClassVar[int] = 1
    """It is concerned by no other versions of runs than the multiples of this. Where that is more than one, its steps
    hold whole runs, and the others need not be made."""
    by_stretches: ClassVar[bool] = False
    """Whether it takes what happens to runs that go plain ways (`runcord.run.stretches`) run by run, for outlined ones:
    `gather` is then shown the steps of the others only. That is several times as fast again."""

    @abstractmethod
    def gather(self, steps: Sequence[Step]) -> Mapping[Any, N]:
        """Return what steps say of the rows that they concern, by key: what `Table.key` names, one value or a tuple."""

    def gather_stretches(self, stretches: Sequence[Stretch], noted: dict[Any, N]) -> Mapping[Any, N]:
        """Return `noted`, which was gathered from steps, with what stretches say as well.

        It must come to what `gather` makes of all the steps together, events that the projection does not read left
        out. Other runs' steps may lie before, between and after those of a stretch. Only for `by_stretches`.
        """
        raise NotImplementedError

    @abstractmethod
    def evolve(self, row: R | None, key: Any, notes: N, /) -> R | None:
        """Return the row of a key after what was gathered for it. Pure.

        `row` is None where there is none yet; None is returned where there is none any more. How steps are divided
        among batches must make no difference.
        """

    def is_first(self, notes: N) -> bool:
        """Tell whether a row cannot be there before these notes, which spares looking for it."""
        return False


AnyProjection = BatchProjection[Any, Any]


class Projection(BatchProjection[R, list[Step]]):
    """A read model whose rows are folded step by step."""

    @abstractmethod
    def keys(self, step: Step) -> Iterable[Any]:
        """Return the keys of the rows that a step concerns: of each, what `Table.key` names, one value or a tuple."""

    @abstractmethod
    def evolve(self, row: R | None, key: Any, steps: Sequence[Step], /) -> R | None:
        """Return the row of a key after the steps that concern it, at least one, in their order. Pure.

        `row` is None where there is none yet; None is returned where there is none any more. How steps are divided
        among calls must make no difference.
        """

    def gather(self, steps: Sequence[Step]) -> Mapping[Any, list[Step]]:
        """Return the steps that concern each key."""
        keys = self.keys
        concerned: dict[Any, list[Step]] = {}
        for step in steps:
            for key in keys(step):
                known = concerned.get(key)
                if known is None:
                    concerned[key] = [step]
                else:
                    known.append(step)
        return concerned
