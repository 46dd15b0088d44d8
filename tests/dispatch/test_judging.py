"""Pure parts: verdicts, signatures, breakers, shares, messages."""

import base64
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies

from runcord.clock import monotonic
from runcord.dispatch import breaker
from runcord.dispatch.breaker import MAX_PAUSE_SECS, Breakers
from runcord.dispatch.exchange import NoReply, Reply
from runcord.dispatch.message import message, traceparent
from runcord.dispatch.shares import shares
from runcord.dispatch.signature import key_of, sign
from runcord.dispatch.verdict import Accepted, Refused, Succeeded, judge
from runcord.projecting.handover import NOTHING
from runcord.queue.claims import ClaimedRun
from runcord.run import events as e
from runcord.run.status import Status
from runcord.testing import scenario

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def reply(status: int, body: bytes | None = b"", **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


# --- verdicts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_success_is_success(status: int) -> None:
    assert judge(reply(status, b'{"a":1}'), NOW) == Succeeded({"a": 1})


def test_accepted_is_no_result() -> None:
    assert judge(reply(202, b'{"a":1}'), NOW) == Accepted()


@pytest.mark.parametrize(
    ("status", "error_class", "retryable", "blames", "fallback"),
    [
        (300, "client", False, False, False),
        (400, "client", False, False, False),
        (401, "auth", False, False, False),
        (403, "auth", False, False, False),
        (408, "timeout", True, False, False),
        (418, "client", False, False, False),
        (425, "transient", True, False, False),
        (429, "rate_limited", True, False, True),
        (500, "server", True, True, True),
        (503, "server", True, True, True),
        (599, "server", True, True, True),
        (999, "server", True, True, True),
    ],
)
def test_each_status_has_its_class(
    status: int, error_class: str, retryable: bool, blames: bool, fallback: bool
) -> None:
    verdict = judge(reply(status), NOW)
    assert isinstance(verdict, Refused)
    assert (verdict.error_class, verdict.retryable) == (error_class, retryable)
    assert (verdict.blames_endpoint, verdict.tries_fallback) == (blames, fallback)


@pytest.mark.parametrize(
    ("value", "secs"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("99999999999", 86_400),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, secs: float | None) -> None:
    for status in (429, 503):
        verdict = judge(reply(status, retry_after=value), NOW)
        assert isinstance(verdict, Refused) and verdict.retry_after_secs == secs
    verdict = judge(reply(500, retry_after=value), NOW)
    assert isinstance(verdict, Refused) and verdict.retry_after_secs is None


@pytest.mark.parametrize("error_class", ["connection", "transient", "unknown"])
def test_no_answer_may_be_had_of_the_fallback(error_class: str) -> None:
    verdict = judge(NoReply(error_class, "x"), NOW)
    assert verdict == Refused(e.Failure("x", error_class), True, blames_endpoint=True, tries_fallback=True)


def test_a_timeout_leaves_no_time_for_the_fallback() -> None:
    verdict = judge(NoReply("timeout", "x"), NOW)
    assert isinstance(verdict, Refused) and verdict.timed_out and not verdict.tries_fallback


def test_an_address_that_may_not_be_used_fails_for_good_and_blames_nobody() -> None:
    assert judge(NoReply("address", "x"), NOW) == Refused(e.Failure("x", "client"), retryable=False)


# --- signatures ---------------------------------------------------------------------------------------


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's reference libraries.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_its_own_bytes_unless_it_says_otherwise() -> None:
    assert key_of("plain-ß") == "plain-ß".encode()
    assert key_of("whsec_" + base64.b64encode(b"bytes").decode()) == b"bytes"
    assert key_of("whsec_not base64!") == b"whsec_not base64!"


# --- breakers -----------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still; its one element is the time."""
    now = [monotonic()]
    monkeypatch.setattr(breaker, "monotonic", lambda: now[0])
    return now


def test_a_breaker_opens_after_so_many_failures_in_a_row() -> None:
    breakers = Breakers(failures=3)
    for _ in range(2):
        breakers.failed("a")
    breakers.succeeded("a")
    for _ in range(2):
        breakers.failed("a")
    assert breakers.permits("a") is None
    breakers.failed("a")
    assert (breakers.permits("a"), breakers.permits("b"), breakers.open_endpoints()) == (0, None, ["a"])


def test_after_the_pause_one_probe_is_let_through(clock: list[float]) -> None:
    breakers = Breakers(failures=1, pause_secs=10)
    breakers.failed("a")
    clock[0] += 9.9
    assert breakers.permits("a") == 0
    clock[0] += 0.2
    assert breakers.permits("a") == 1
    breakers.begin("a")
    assert breakers.permits("a") == 0
    breakers.succeeded("a")
    assert (breakers.permits("a"), breakers.open_endpoints()) == (None, [])


def test_a_probe_that_fails_doubles_the_pause_up_to_a_limit(clock: list[float]) -> None:
    breakers = Breakers(failures=1, pause_secs=10)
    breakers.failed("a")
    for pause in (10, 20, 40, MAX_PAUSE_SECS, MAX_PAUSE_SECS):
        breakers.failed("a")  # one that was under way before: it is no probe
        clock[0] += pause - 0.1
        assert breakers.permits("a") == 0
        clock[0] += 0.2
        assert breakers.permits("a") == 1
        breakers.begin("a")
        breakers.failed("a")


def test_a_probe_that_was_given_up_leaves_room_for_another(clock: list[float]) -> None:
    breakers = Breakers(failures=1, pause_secs=10)
    breakers.failed("a")
    clock[0] += 11
    breakers.begin("a")
    breakers.abandoned("a")
    assert breakers.permits("a") == 1


# --- shares -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("under_way", "free", "given"),
    [
        ({"a": 0}, 0, {}),
        ({"a": 0}, 1, {"a": 1}),
        ({"a": 0}, 8, {"a": 4}),
        ({"a": 4}, 4, {}),
        ({"a": 4, "b": 0}, 4, {"b": 2}),
        ({"a": 0, "b": 0}, 9, {"a": 3, "b": 3}),
        ({"a": 0, "b": 0, "c": 0}, 2, {"a": 1, "b": 1}),
    ],
)
def test_slots_are_shared(under_way: dict[str, int], free: int, given: dict[str, int]) -> None:
    assert shares(under_way, free) == given


@given(
    strategies.dictionaries(strategies.integers(), strategies.integers(0, 50), max_size=20), strategies.integers(0, 99)
)
def test_no_more_is_given_than_there_is_and_nobody_gets_more_than_is_left(under_way: dict[int, int], free: int) -> None:
    given = shares(under_way, free)
    left = free - sum(given.values())
    assert left >= 0 and all(count > 0 for count in given.values())
    after = Counter(under_way) + Counter(given)
    for job in given:
        assert after[job] - 1 <= left + 1
    assert all(after[job] >= left for job in under_way), "who has less than is left may have more"


# --- messages -----------------------------------------------------------------------------------------


def claimed(**facts: object) -> ClaimedRun:
    return ClaimedRun(scenario.given(*scenario.history_to(Status.EXECUTING, **facts)).run, None)


def test_a_run_without_a_payload_is_sent_as_an_empty_object() -> None:
    sent = message(claimed(), NOTHING, "token")
    assert sent.body == b"{}"
    assert all(value.isascii() and value.isprintable() for value in sent.headers.values())


def test_what_an_earlier_attempt_said_is_one_line_of_ascii() -> None:
    run = claimed().run.altered(error=e.Failure("Zeile 1\r\nX-Evil: ä" + "x" * 5000))
    headers = message(ClaimedRun(run, None), NOTHING, "token").headers
    assert headers["X-Previous-Error"].startswith("Zeile 1  X-Evil: ?xxx")
    assert len(headers["X-Previous-Error"]) <= 1024


def test_a_trace_that_is_none_is_replaced_by_the_runs_own() -> None:
    run = claimed(metadata={"_trace_parent": "00-zz"}).run
    first, second = traceparent(run).split("-"), traceparent(run).split("-")
    assert first[1] == second[1] and first[2] != second[2] and len(first[1]) == 32
