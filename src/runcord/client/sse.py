"""Reading server-sent events: from pieces of bytes, cut anywhere, to frames."""

from typing import NamedTuple

_END_COMMENT = b": end"
_MAX_LINE = 64 * 1024 * 1024


class Frame(NamedTuple):
    """One event: its id, to resume after, and its data."""

    id: str
    data: bytes


class FrameReader:
    """Takes bytes as they come and gives the frames that are complete."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._id = ""
        self._data: list[bytes] = []
        self.ended = False
        """Whether the server said that nothing more will come."""

    def feed(self, received: bytes) -> list[Frame]:
        """Return the frames that `received` completes.

        Raises:
            ValueError: a line has no end, so that this cannot be a stream of events.
        """
        self._rest += received
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        if len(rest) > _MAX_LINE:
            raise ValueError("a line of the stream does not end")
        return [frame for line in lines if (frame := self._line(bytes(line).removesuffix(b"\r"))) is not None]

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            data, self._data = self._data, []
            return Frame(self._id, b"\n".join(data)) if data else None
        if line.startswith(b":"):
            self.ended = self.ended or line == _END_COMMENT
            return None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"id":
            self._id = value.decode()
        elif name == b"data":
            self._data.append(value)
        return None
