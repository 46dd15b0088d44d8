"""What is said about projections, and what operators say."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from runcord.http.models.page import Document, Maybe
from runcord.http.models.run import AnyJson
from runcord.http.models.value import BigCount, Line, Positive
from runcord.http.operation import Body


class Rebuild(Body):
    """How a projection is to be rebuilt."""

    switch: Annotated[
        bool, Field(description="Whether what was built takes over by itself as soon as it is ready.")
    ] = False


class Drop(Body):
    """What is to be dropped."""

    generation: Annotated[
        Positive | None, Field(description="Which; may be missing where only one is not the live one.")
    ] = None


class Skip(Body):
    """Which event a projection is to pass over, and why."""

    position: Annotated[BigCount, Field(description="Where the projection is parked.")]
    reason: Annotated[Line, Field(min_length=1, description="Goes on record, with who said so.")]


class Generation(Document):
    """One build of a projection."""

    generation: Annotated[int, Field(description="Its number; 0 for the rows that commits themselves write.")]
    version: Annotated[int, Field(description="The version of the code that it was begun with.")]
    status: Annotated[
        Literal["live", "building", "ready", "retired", "dropping"],
        Field(
            description="`live`: it is read. `building`: it is folded from the first event on. `ready`: it has caught "
            "up and moves with the live one. `retired`: it was live. `dropping`: its rows are being deleted."
        ),
    ]
    position: Annotated[int, Field(description="It holds what the events up to here say.")]
    behind: Annotated[int, Field(description="How many events it has still to take.")]
    progress: Annotated[float, Field(ge=0, le=1, description="The part of the ledger that it has taken.")]
    switches: Annotated[bool, Field(description="Whether it takes over by itself when it is ready.")]
    created_at: Maybe[datetime] = None
    moved_at: Maybe[datetime] = None
    parked_at: Annotated[Maybe[int], Field(description="The position of an event that it cannot take.")] = None
    error: Annotated[Maybe[str], Field(description="Why it cannot.")] = None


class Projection(Document):
    """A read model, folded from the ledger, with all its generations."""

    name: str
    kind: Annotated[
        Literal["tracked", "inline"],
        Field(
            description="`tracked`: it follows the ledger. `inline`: commits write its rows themselves; a rebuild "
            "stands beside them, and a switch heals those that differ."
        ),
    ]
    version: Annotated[int, Field(description="The version of the code that the server runs.")]
    head: Annotated[int, Field(description="The position of the ledger's last event.")]
    generations: list[Generation]


class RowDifference(Document):
    """A row that is not the same in both."""

    key: AnyJson
    how: Annotated[
        Literal["differs", "missing", "surplus"],
        Field(description="`missing`: only the live side has it. `surplus`: only the rebuilt side has it."),
    ]


class Comparison(Document):
    """Two generations of a projection, compared row by row at one position."""

    name: str
    position: Annotated[int, Field(description="Both hold what the events up to here say.")]
    live_generation: int
    rebuilt_generation: int
    equal: Annotated[bool, Field(description="Whether all rows are the same, byte for byte.")]
    live_rows: int
    rebuilt_rows: int
    differing: int
    missing: Annotated[int, Field(description="Rows that only the live generation has.")]
    surplus: Annotated[int, Field(description="Rows that only the rebuilt generation has.")]
    first: Annotated[list[RowDifference], Field(description="The first ten that are not the same, by their keys.")]
