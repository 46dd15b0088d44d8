"""Shows how far the round is: a moving bar on a terminal, a line every few seconds elsewhere."""

import os
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from runcord import clock
from runcord.client import RunStats

LINE_SECS = 3.0
UNDER_WAY = ("queued", "dequeued", "executing")
ENDED = ("completed", "dead_letter")


class Display:
    """Show counts of runs, and in between what happened. Use it in a `with` statement."""

    def __init__(self, console: Console, before: RunStats) -> None:
        """Show what changes from `before` on."""
        self._console = console
        self._before = before
        self._moving = console.is_terminal and not os.environ.get("NO_COLOR")
        self._begun = clock.monotonic()
        self._next_line = self._begun + LINE_SECS
        columns = (BarColumn(bar_width=16), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not self._moving)
        self._task = self._progress.add_task("", total=None)

    def show(self, stats: RunStats) -> None:
        """Show the latest counts."""
        finished, total = stats.finished - self._before.finished, stats.total - self._before.finished
        text = self._text(stats, finished)
        self._progress.update(self._task, completed=finished, total=total, description=text)
        if not self._moving and (clock.monotonic() >= self._next_line or finished == total):
            self._next_line = clock.monotonic() + LINE_SECS
            self.say(f"{clock.monotonic() - self._begun:5.1f} s  {finished}/{total} finished: {text}")

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _text(self, stats: RunStats, finished: int) -> str:
        rate = finished / max(clock.monotonic() - self._begun, 0.1)
        ended = {status: count for status, count in self._before.by_status.items() if status in ENDED}
        counts = {status: stats.by_status.get(status, 0) - ended.get(status, 0) for status in (*UNDER_WAY, *ENDED)}
        shown = [f"{count:,} {status.replace('_', ' ')}" for status, count in counts.items() if count]
        return f"{', '.join(shown)}; {rate:.0f} runs/s"

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
