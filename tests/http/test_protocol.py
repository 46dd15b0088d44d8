"""The head of a request is bounded in size and time, however it arrives."""

import json
import socket
from collections.abc import Iterator

import pytest

from runcord.clock import monotonic
from runcord.http.protocol import LARGEST_HEAD_BYTES
from runcord.testing.postgres import TestServer
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


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", LINE + b"X: " + b"y" * LARGEST_HEAD_BYTES])
def test_what_is_no_request_is_refused_as_everything_is(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    head, _, body = rest_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"Content-Type: application/json" in head
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == ("validation_failed", 400)
    assert problem["error"] == problem["message"]


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


HEAD_SECS = 0.5


@pytest.fixture(scope="module")
def hasty(postgres: TestServer, template_database: str) -> Iterator[ServerProcess]:
    """A server that waits half a second for the head of a request, with two processes."""
    dsn = postgres.create_database(template=template_database)
    server = ServerProcess(dsn, {"RUNCORD_REQUEST_TIMEOUT_SECS": str(HEAD_SECS)})
    server.start(workers=2)
    yield server
    server.kill()
    postgres.drop_database(dsn)


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)


def rest_of(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def answer_of(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"}"):
        received += connection.recv(65536)
    return received


def test_who_says_nothing_is_disconnected(hasty: ServerProcess) -> None:
    with connect(hasty) as connection:
        began = monotonic()
        assert rest_of(connection) == b""
        assert monotonic() - began > HEAD_SECS / 2


@pytest.mark.parametrize("half", [b"G", b"GET /livez HTTP/1.1\r\n", LINE, LINE + b"X-Half: y"])
def test_half_a_head_is_waited_for_and_then_refused(hasty: ServerProcess, half: bytes) -> None:
    with connect(hasty) as connection:
        connection.sendall(half)
        head, _, body = rest_of(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["code"] == "request_timeout"


def test_dripping_does_not_make_the_time_longer(hasty: ServerProcess) -> None:
    with connect(hasty) as connection:
        connection.sendall(LINE)
        connection.settimeout(HEAD_SECS / 10)
        began = monotonic()
        received = None
        while received is None:
            assert monotonic() - began < DEADLINE
            try:
                connection.sendall(b"X-Drip: y\r\n")
                received = connection.recv(65536)
            except TimeoutError:
                pass
            except ConnectionError:
                received = b"HTTP/1.1 408 "
        assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("rest", [b"GET /livez", b"\r\n", b"{}"])
def test_a_connection_that_was_answered_gets_no_longer_for_its_next_head(hasty: ServerProcess, rest: bytes) -> None:
    with connect(hasty) as connection:
        connection.sendall(LINE + (b"Content-Length: 900\r\n" if rest == b"{}" else b"") + b"\r\n")
        assert b" 200 OK" in answer_of(connection)
        connection.sendall(rest)
        assert rest_of(connection).startswith(b"HTTP/1.1 408 ") == (rest == b"GET /livez")


def test_an_answered_connection_stays_open_longer_than_a_head_may_take(hasty: ServerProcess) -> None:
    with connect(hasty) as connection:
        connection.sendall(LINE + b"\r\n")
        assert b" 200 OK" in answer_of(connection)
        connection.settimeout(3 * HEAD_SECS)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(DEADLINE)
        connection.sendall(LINE + b"\r\n")
        assert b" 200 OK" in answer_of(connection)


def test_a_request_that_takes_long_to_answer_is_not_cut(hasty: ServerProcess) -> None:
    body = b'{"worker_id":"w","wait_secs":2}'
    head = f"POST /v1/runs/dequeue HTTP/1.1\r\nHost: x\r\nAuthorization: {hasty.headers['Authorization']}\r\n"
    with connect(hasty) as connection:
        began = monotonic()
        connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert b" 200 OK" in answer_of(connection)
        assert monotonic() - began > 3 * HEAD_SECS
