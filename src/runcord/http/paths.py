"""From the path of a request to what is served there.

The number of paths does not slow a request down: those whose parameters are single segments, nearly all, are found by
walking along the segments. Of the others, whose parameters reach over slashes, those are tried that begin alike.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from starlette.routing import compile_path

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """What is under a path, and the values of the path's parameters."""

    served: T
    parameters: dict[str, str]


class _Leaf(NamedTuple, Generic[T]):
    place: int
    names: tuple[str, ...]
    served: T


class _Node(Generic[T]):
    """What may follow after some segments."""

    __slots__ = ("any", "leaf", "literal")

    def __init__(self) -> None:
        self.literal: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None
        self.leaf: _Leaf[T] | None = None


class _Pattern(NamedTuple, Generic[T]):
    place: int
    beginning: str
    regex: re.Pattern[str]
    served: T


class Paths(Generic[T]):
    """Paths in Starlette's syntax: `/v1/runs/{run_id}`, `/files/{name:path}`.

    Each is met with and without a slash at its end, because clients do not follow redirects. Where several fit, the
    first one counts.
    """

    def __init__(self, paths: Iterable[tuple[str, T]]) -> None:
        self._root: _Node[T] = _Node()
        self._patterns: list[_Pattern[T]] = []
        for place, (path, served) in enumerate(paths):
            if ":" in path:
                self._patterns += [
                    _Pattern(place, path.partition("{")[0], compile_path(form)[0], served)
                    for form in (path, f"{path}/")
                ]
            else:
                self._plant(place, path, served)
        self._beginnings = tuple({pattern.beginning for pattern in self._patterns})

    def find(self, path: str) -> Found[T] | None:
        """Return what is under a path, None if that is nothing."""
        reached = _walk(self._root, path.removesuffix("/").split("/"), 0, ())
        if path.startswith(self._beginnings):
            for pattern in self._patterns:
                if reached is not None and reached[0].place < pattern.place:
                    break
                if path.startswith(pattern.beginning) and (match := pattern.regex.match(path)):
                    return Found(pattern.served, match.groupdict())
        if reached is None:
            return None
        leaf, values = reached
        return Found(leaf.served, dict(zip(leaf.names, values, strict=True)))

    def _plant(self, place: int, path: str, served: T) -> None:
        node, names = self._root, list[str]()
        for segment in path.removesuffix("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.literal.setdefault(segment, _Node())
        node.leaf = node.leaf or _Leaf(place, tuple(names), served)


def _walk(
    node: _Node[T], segments: Sequence[str], at: int, values: tuple[str, ...]
) -> tuple[_Leaf[T], tuple[str, ...]] | None:
    """Return the first of the leaves that the segments lead to, and the values of its parameters."""
    if at == len(segments):
        return None if node.leaf is None else (node.leaf, values)
    segment = segments[at]
    literal = node.literal.get(segment)
    named = None if literal is None else _walk(literal, segments, at + 1, values)
    if node.any is None or not segment:
        return named
    other = _walk(node.any, segments, at + 1, (*values, segment))
    if named is None or other is None:
        return named or other
    return min(named, other, key=lambda reached: reached[0].place)
