"""What a projection is: a read model that is folded from the ledger, row by row.

A projection says which events it reads, which of its rows each of them concerns, and how a row is after it. It never
reads or writes anything itself: rows are loaded, folded and stored by `runcord.projecting.folding`, together with the
position they are true at. So any number of generations of it can be built from the log beside the one that is read,
and the same history always gives the same rows.

Other packages bring projections by the entry point group `runcord.projections`; each entry is an instance.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from operator import attrgetter
from types import UnionType
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    LiteralString,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from psycopg import sql

from runcord.ledger.arrays import Bigints, Booleans, Bytes, Texts, Times
from runcord.recorded import Recorded
from runcord.run.state import Run

R = TypeVar("R", bound=tuple[Any, ...])


class Step(NamedTuple):
    """One event and what it did.

    `before` and `after` are the run, for events of runs; None before its first event, and for all other events.
    """

    before: Run | None
    recorded: Recorded[Any]
    after: Run | None


class Projection(ABC, Generic[R]):
    """A read model. What is a class variable here is fixed for ever, but for `version`.

    Its rows depend on nothing but the steps it was shown, in their order.
    """

    name: ClassVar[str]
    """Unique, and never changed: its rows are found by it."""
    version: ClassVar[int] = 1
    """Is raised when the same history would give other rows: a new generation is then built, and takes over."""
    reads: ClassVar[frozenset[type]]
    """The classes of the events that it is shown."""
    table: ClassVar["Table[Any]"]
    create: ClassVar[LiteralString | None] = None
    """SQL that makes the table and its indexes unless they are there, for projections that come from other packages:
    a server executes it when it starts. Tables of Runcord's own are made by its migrations."""
    rows_are_runs: ClassVar[bool] = False
    """Whether keys are run ids and rows come into being with their run: spares looking for those of new runs."""

    @abstractmethod
    def keys(self, step: Step) -> Iterable[Any]:
        """Return the keys of the rows that a step concerns: of each, what `Table.key` names, one value or a tuple."""

    @abstractmethod
    def evolve(self, row: R | None, key: Any, steps: Sequence[Step]) -> R | None:
        """Return the row of a key after the steps that concern it, at least one, in their order. Pure.

        `row` is None where there is none yet; None is returned where there is none any more. How steps are divided
        among calls must make no difference.
        """


@dataclass(frozen=True)
class Table(Generic[R]):
    """Where the rows of a projection lie: a table that begins with the columns `project_id` and `generation`.

    The other columns have the names of the fields of `row`, a NamedTuple, in its order: `text` for str, `bigint` for
    int, `boolean`, `bytea` and `timestamptz`, and arrays of them for tuples. Its primary key is `project_id`,
    `generation` and the columns of `key`.
    """

    name: str
    row: type[R]
    key: tuple[str, ...]
    latest: str | None = None
    """The last column of the key, where each of its values has a row that goes on from the one of the value before:
    `evolve` is given the latest row there is of the other columns. It must never go back from step to step."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns after project and generation."""
        return tuple(self.kinds)

    @cached_property
    def lookup(self) -> tuple[str, ...]:
        """The columns by which rows are looked up: the key, without its `latest`."""
        return tuple(column for column in self.key if column != self.latest)

    @cached_property
    def found_by(self) -> Callable[[R], Any]:
        """Return what a row is looked up by: a value, or a tuple."""
        return attrgetter(*self.lookup)

    def looked_up_by(self, key: Any) -> Any:
        """Return what the rows of a key are looked up by."""
        if self.latest is None:
            return key
        return key[0] if len(key) == 2 else key[:-1]

    @cached_property
    def kinds(self) -> Mapping[str, "_Kind"]:
        """How each column is written."""
        return {column: _kind(hint) for column, hint in get_type_hints(self.row).items()}

    def arrays(self, rows: Iterable[R]) -> dict[str, list[Any]]:
        """Return the columns of rows as parameters of `save`."""
        by_column = list(zip(*rows, strict=True))
        return {
            name: kind.array(values if kind.write is None else [None if v is None else kind.write(v) for v in values])
            for (name, kind), values in zip(self.kinds.items(), by_column, strict=True)
        }

    def read(self, values: Sequence[Any]) -> R:
        """Return a row as it was stored."""
        return self.row(*[tuple(cast(list[Any], v)) if v.__class__ is list else v for v in values])

    def lookup_arrays(self, keys: Iterable[Any]) -> dict[str, list[Any]]:
        """Return what rows are looked up by as parameters of `load` and `remove`."""
        by_column = [list(keys)] if len(self.lookup) == 1 else list(zip(*keys, strict=True))
        return {name: self.kinds[name].array(values) for name, values in zip(self.lookup, by_column, strict=True)}

    @cached_property
    def load(self) -> bytes:
        """The rows of some keys; where rows of a key are kept, its latest."""
        newest = (
            sql.SQL(" order by t.{} desc limit 1").format(sql.Identifier(self.latest)) if self.latest else sql.SQL("")
        )
        return (
            sql.SQL(
                "select r.* from unnest({arrays}) as u ({lookup}) cross join lateral (select {columns} from {table} t "
                "where t.project_id = %(project_id)s and t.generation = %(generation)s and {same}{newest}) as r"
            )
            .format(
                arrays=self._arrays(self.lookup),
                lookup=_names(self.lookup),
                columns=_names(self.columns, "t"),
                table=sql.Identifier(self.name),
                same=_same(self.lookup),
                newest=newest,
            )
            .as_bytes()
        )

    @cached_property
    def save(self) -> bytes:
        """Insert or update rows."""
        values = [column for column in self.columns if column not in self.key]
        updated = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in values)
        return (
            sql.SQL(
                "insert into {table} (project_id, generation, {columns}) select %(project_id)s, %(generation)s, {read} "
                "from unnest({arrays}) as u ({columns}) on conflict (project_id, generation, {key}) do {action}"
            )
            .format(
                table=sql.Identifier(self.name),
                columns=_names(self.columns),
                read=sql.SQL(", ").join(
                    sql.SQL("{}::{}").format(sql.Identifier("u", column), sql.SQL(self.kinds[column].type))
                    for column in self.columns
                ),
                arrays=self._arrays(self.columns),
                key=_names(self.key),
                action=sql.SQL("update set {}").format(updated) if values else sql.SQL("nothing"),
            )
            .as_bytes()
        )

    @cached_property
    def remove(self) -> bytes:
        """Delete the rows of some keys."""
        return (
            sql.SQL(
                "delete from {table} t using unnest({arrays}) as u ({lookup}) "
                "where t.project_id = %(project_id)s and t.generation = %(generation)s and {same}"
            )
            .format(
                table=sql.Identifier(self.name),
                arrays=self._arrays(self.lookup),
                lookup=_names(self.lookup),
                same=_same(self.lookup),
            )
            .as_bytes()
        )

    def _arrays(self, columns: Iterable[str]) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Placeholder(column, "b"), sql.SQL(self.kinds[column].sent + "[]"))
            for column in columns
        )


@dataclass(frozen=True)
class _Kind:
    """How values of a column are written: as an array of `sent`, cast to `type` one by one."""

    type: Any
    sent: Any
    array: Callable[[Iterable[Any]], list[Any]]
    write: Callable[[Any], str] | None = None


def _numbers(values: Iterable[int]) -> str:
    """Return PostgreSQL's text form of an array. Unnesting an array of arrays would flatten it."""
    return "{" + ",".join(map(str, values)) + "}"


@lru_cache(4096)
def _texts(values: tuple[str, ...]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


_KINDS: dict[Any, _Kind] = {
    str: _Kind("text", "text", Texts),
    int: _Kind("bigint", "bigint", Bigints),
    bool: _Kind("boolean", "boolean", Booleans),
    bytes: _Kind("bytea", "bytea", Bytes),
    datetime: _Kind("timestamptz", "timestamptz", Times),
    tuple[int, ...]: _Kind("bigint[]", "text", Texts, _numbers),
    tuple[str, ...]: _Kind("text[]", "text", Texts, _texts),
}


def _kind(hint: Any) -> _Kind:
    if get_origin(hint) is Literal:
        hint = str
    elif get_origin(hint) in (Union, UnionType):
        [hint] = [part for part in get_args(hint) if part is not type(None)]
    try:
        return _KINDS[hint]
    except KeyError:
        raise TypeError(f"rows cannot hold {hint}") from None


def _names(columns: Iterable[str], table: str | None = None) -> sql.Composed:
    place = () if table is None else (table,)
    return sql.SQL(", ").join(sql.Identifier(*place, column) for column in columns)


def _same(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier("t", column), sql.Identifier("u", column)) for column in columns
    )
