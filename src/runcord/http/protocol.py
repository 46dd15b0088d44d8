"""HTTP/1.1 with a bounded request head: the parser alone would take a header line without end, and keep it."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD_BYTES = 64 * 1024
"""How much of a request line and headers is taken before the connection is closed; what arrives at once may be more."""


class BoundedHeadProtocol(HttpToolsProtocol):
    """Closes a connection whose request head has become larger than `LARGEST_HEAD_BYTES`, with 400."""

    _in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > LARGEST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request line and headers are larger than {LARGEST_HEAD_BYTES:,} bytes.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin its body."""
        self._in_head = False
        super().on_headers_complete()
