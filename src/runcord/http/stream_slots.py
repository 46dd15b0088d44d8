"""How many streams are open: bounded for each project, and for the whole process."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from runcord.errors import TooManyStreams, Unavailable


class StreamSlots:
    """Counts the open streams of this process."""

    def __init__(self, total: int, per_project: int) -> None:
        self._total = total
        self._per_project = per_project
        self._open: Counter[str] = Counter()

    def require(self, project_id: str) -> None:
        """Refuse another stream if there are too many.

        Raises:
            TooManyStreams: the project has as many as it may.
            Unavailable: the process has as many as it may.
        """
        if self._open[project_id] >= self._per_project:
            raise TooManyStreams(
                f"the project has {self._per_project} streams open here, which is the most: close some, or follow "
                "several runs from one place"
            )
        if self._open.total() >= self._total:
            raise Unavailable(f"this server has {self._total} streams open, which is the most; try another, or later")

    @contextmanager
    def taken(self, project_id: str) -> Generator[None]:
        """Count one stream while it is open."""
        self._open[project_id] += 1
        try:
            yield
        finally:
            self._open[project_id] -= 1
            if not self._open[project_id]:
                del self._open[project_id]
