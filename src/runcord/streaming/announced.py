"""Which streams of runs are on record, as far as a process knows: a bounded memory."""

_REMEMBERED = 20_000


class AnnouncedStreams:
    """The streams of runs that this process knows to be announced; it may forget any."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()

    def __contains__(self, stream: tuple[str, str, str]) -> bool:
        return stream in self._known

    def add(self, stream: tuple[str, str, str]) -> None:
        """Remember a stream, by its project, its run and its name."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known.add(stream)
