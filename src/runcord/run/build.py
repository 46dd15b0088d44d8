"""Making immutable values quickly.

The constructor of a frozen dataclass sets every field through `object.__setattr__`, and a run has fifty of them.
In the innermost loops of everything, only what differs from the defaults is set; the rest is read from the class.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def build(cls: type[T], members: Mapping[str, Any]) -> T:
    """Return what `cls(**members)` would, at a fraction of the cost.

    `members` has every field that has no default. Nothing is checked: the callers' own tests do.
    """
    value = object.__new__(cls)
    value.__dict__.update(members)
    return value


def altered(value: T, changes: Mapping[str, Any]) -> T:
    """Return what `dataclasses.replace(value, **changes)` would, at a fraction of the cost."""
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__)
    copy.__dict__.update(changes)
    return copy


named_tuple: Callable[[type[Any], tuple[Any, ...]], Any] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""Returns what the constructor of a NamedTuple would, given all its fields in order, in half the time."""
