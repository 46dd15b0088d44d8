"""One exchange with servers that do what servers do: every outcome is an outcome, and none lasts too long."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest
from tests.dispatch.endpoint import Script, answering, babbling, dribbling, hanging, open_endpoint, resetting

from runcord.clock import monotonic
from runcord.dispatch.addresses import LOOPBACK, AddressGuard, networks
from runcord.dispatch.exchange import MAX_EXCERPT, MAX_RESULT, Exchange, Line, NoReply, Reply

GUARD = AddressGuard(networks(LOOPBACK))


async def exchange(script: Script, timeout: float = 5) -> Exchange:
    async with open_endpoint(script) as endpoint:
        return await Line(GUARD).post(endpoint.url, {"X-Run-ID": "run_1"}, b"{}", timeout)


def outcome(script: Script, timeout: float = 5) -> Reply | NoReply:
    return asyncio.run(exchange(script, timeout)).outcome


def test_an_answer_is_read_whole() -> None:
    reply = outcome(answering(200, b"x" * MAX_RESULT, X_Note="hi"))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers["x-note"], reply.body) == (200, "hi", b"x" * MAX_RESULT)


def test_of_an_answer_beyond_the_limit_nothing_is_kept_and_no_more_is_read() -> None:
    reply = outcome(answering(200, b"x" * (20 * MAX_RESULT)))
    assert isinstance(reply, Reply) and reply.body is None


def test_of_an_answer_without_a_result_the_beginning_is_read() -> None:
    for status in (202, 302, 404, 500):
        reply = outcome(answering(status, b"x" * (20 * MAX_RESULT)))
        assert isinstance(reply, Reply) and reply.body == b"x" * MAX_EXCERPT


@pytest.mark.parametrize(
    ("script", "error_class", "says"),
    [
        (resetting, "transient", "in the middle of its answer"),
        (babbling, "transient", "before its answer"),
        (hanging, "timeout", "no complete answer"),
        (dribbling, "timeout", "no complete answer"),
    ],
)
def test_what_goes_wrong_is_told_apart(script: Script, error_class: str, says: str) -> None:
    began = monotonic()
    failed = outcome(script, 0.5)
    assert isinstance(failed, NoReply)
    assert (failed.error_class, says in failed.message) == (error_class, True), failed
    assert monotonic() - began < 5


def test_a_redirect_is_not_followed() -> None:
    async def inside() -> None:
        async with open_endpoint(answering(200)) as inner:
            reply = (await exchange(answering(307, Location=inner.url))).outcome
            assert isinstance(reply, Reply) and reply.status == 307
            assert inner.requests == []

    asyncio.run(inside())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert isinstance(outcome(answering(200)), Reply)


def test_the_timings_of_a_failure_end_with_it() -> None:
    timings = asyncio.run(exchange(hanging, 0.3)).timings
    assert timings.connect_secs > 0 and 0.2 < timings.ttfb_secs < 2
    assert timings.transfer_secs == 0
    assert timings.whole_secs == pytest.approx(timings.connect_secs + timings.ttfb_secs, abs=0.05)


def test_an_endpoint_that_is_cancelled_is_left_at_once() -> None:
    async def inside() -> None:
        async with open_endpoint(hanging) as endpoint:
            sending = asyncio.create_task(Line(GUARD).post(endpoint.url, {}, b"{}", 60))
            await asyncio.wait_for(endpoint.begun.wait(), 10)
            sending.cancel()
            await asyncio.wait_for(endpoint.left.wait(), 10)
            with pytest.raises(asyncio.CancelledError):
                await sending

    asyncio.run(inside())


def test_a_certificate_that_nobody_vouches_for_is_refused_until_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*made, "-keyout", key, "-out", certificate, *named], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def inside(host: str) -> Reply | NoReply:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await Line(GUARD).post(f"https://{host}:{port}/", {}, b"", 5)).outcome

    refused = asyncio.run(inside("localhost"))
    assert isinstance(refused, NoReply) and refused.error_class == "connection"
    assert "CERTIFICATE_VERIFY_FAILED" in refused.message
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert isinstance(asyncio.run(inside("localhost")), Reply)
    elsewhere = asyncio.run(inside("127.0.0.1"))
    assert isinstance(elsewhere, NoReply) and "CERTIFICATE_VERIFY_FAILED" in elsewhere.message
