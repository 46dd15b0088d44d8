"""The head of a request is bounded, however it arrives."""

import socket
from collections.abc import Iterator

import pytest

from runcord.http.protocol import LARGEST_HEAD_BYTES
from runcord.testing.server import ServerProcess

pytestmark = pytest.mark.slow

DEADLINE = 10.0
LINE = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def connection(dsn: str) -> Iterator[socket.socket]:
    """A connection to a server."""
    with ServerProcess(dsn) as server:
        host, port = server.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            yield connection


def test_a_head_of_the_usual_size_is_taken_again_and_again(connection: socket.socket) -> None:
    for _ in range(5):
        for piece in (LINE, b"X-Large: " + b"y" * (LARGEST_HEAD_BYTES // 2), b"\r\n\r\n"):
            connection.sendall(piece)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        assert b" 200 OK\r\n" in answer


@pytest.mark.parametrize(
    "endless", [b"GET /" + b"x" * 5000, LINE + b"X-Large: " + b"y" * 5000, LINE + b"X: y\r\n" * 1000]
)
def test_a_head_without_end_closes_the_connection(connection: socket.socket, endless: bytes) -> None:
    sent = 0
    with pytest.raises(ConnectionError):
        while sent < 64 * LARGEST_HEAD_BYTES:
            connection.sendall(endless if sent == 0 else endless[-5000:])
            sent += len(endless)
