"""One page of a list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Hold the items of one page and the cursor of the next one, which is None on the last page."""

    items: list[T]
    next_cursor: str | None
