"""Whether one JSON value contains another, exactly as PostgreSQL's `@>` on `jsonb` has it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast


def contains(whole: Any, part: Any) -> bool:
    """Return whether `whole @> part`, for values as they were read from JSON.

    Objects contain those whose members they contain; arrays those whose elements they contain, in whatever order and
    number; at the top, an array also contains a string, number, truth or null that it has as an element.
    """
    if isinstance(whole, list) and not isinstance(part, dict | list):
        return _has_element(cast(list[Any], whole), part)
    return _contains(whole, part)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        members = cast(Mapping[str, Any], part)
        return isinstance(whole, dict) and all(
            name in whole and _contains(whole[name], value) for name, value in members.items()
        )
    if isinstance(part, list):
        elements = cast(list[Any], part)
        return isinstance(whole, list) and all(_has_element(cast(list[Any], whole), element) for element in elements)
    return _equal(whole, part)


def _has_element(elements: Sequence[Any], part: Any) -> bool:
    return any(_contains(element, part) for element in elements)


def _equal(one: Any, other: Any) -> bool:
    kind, other_kind = one.__class__, other.__class__
    if kind is other_kind:
        return one == other
    if {kind, other_kind} == {int, float}:
        # By their digits: those of a double are fewer than it stands for.
        return Decimal(repr(one)) == Decimal(repr(other))
    return False
