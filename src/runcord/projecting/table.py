"""Where the rows of a projection lie, and the statements that load, store and remove them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from operator import attrgetter
from types import UnionType
from typing import (
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from psycopg import sql

from runcord.ledger.arrays import Bigints, Booleans, Bytes, Texts, Times
from runcord.projecting import copying

R = TypeVar("R", bound=tuple[Any, ...])


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

    def goes_on(self, row: R, after: R) -> bool:
        """Tell whether a row stays where it is when another follows it: the same row, and not a later one."""
        return self.latest is None or getattr(row, self.latest) == getattr(after, self.latest)

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
    def insert(self) -> bytes:
        """Insert rows of which none is there; that costs the database half of what `save` does."""
        return self._insert.as_bytes()

    @cached_property
    def copy(self) -> bytes:
        """Copy rows in, of which none is there, in the binary form that `copied` returns."""
        return (
            sql.SQL("copy {table} (project_id, generation, {columns}) from stdin with (format binary)")
            .format(table=sql.Identifier(self.name), columns=_names(self.columns))
            .as_bytes()
        )

    def copied(self, project_id: str, generation: int, rows: Iterable[R]) -> bytes:
        """Return rows, at least one, for `copy`."""
        by_column = zip(zip(*rows, strict=True), (kind.field for kind in self.kinds.values()), strict=True)
        return copying.table_of(by_column, (copying.text(project_id), copying.integer(generation)))

    @cached_property
    def save(self) -> bytes:
        """Insert or update rows."""
        values = [column for column in self.columns if column not in self.key]
        updated = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in values)
        return (
            sql.SQL("{insert} on conflict (project_id, generation, {key}) do {action}")
            .format(
                insert=self._insert,
                key=_names(self.key),
                action=sql.SQL("update set {}").format(updated) if values else sql.SQL("nothing"),
            )
            .as_bytes()
        )

    @property
    def _insert(self) -> sql.Composed:
        return sql.SQL(
            "insert into {table} (project_id, generation, {columns}) select %(project_id)s, %(generation)s, {read} "
            "from unnest({arrays}) as u ({columns})"
        ).format(
            table=sql.Identifier(self.name),
            columns=_names(self.columns),
            read=sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Identifier("u", column), sql.SQL(self.kinds[column].type))
                for column in self.columns
            ),
            arrays=self._arrays(self.columns),
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
    """How values of a column are written: as an array of `sent`, cast to `type` one by one, or as fields of rows."""

    type: Any
    sent: Any
    array: Callable[[Iterable[Any]], list[Any]]
    field: copying.Field
    write: Callable[[Any], str] | None = None


def _numbers(values: Iterable[int]) -> str:
    """Return PostgreSQL's text form of an array. Unnesting an array of arrays would flatten it."""
    return "{" + ",".join(map(str, values)) + "}"


@lru_cache(4096)
def _texts(values: tuple[str, ...]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


_KINDS: dict[Any, _Kind] = {
    str: _Kind("text", "text", Texts, copying.text),
    int: _Kind("bigint", "bigint", Bigints, copying.bigint),
    bool: _Kind("boolean", "boolean", Booleans, copying.boolean),
    bytes: _Kind("bytea", "bytea", Bytes, copying.data),
    datetime: _Kind("timestamptz", "timestamptz", Times, copying.timestamptz),
    tuple[int, ...]: _Kind("bigint[]", "text", Texts, copying.bigints, _numbers),
    tuple[str, ...]: _Kind("text[]", "text", Texts, copying.texts, _texts),
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
