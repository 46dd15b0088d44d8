"""The address guard: judged by the address that is connected to, whatever the name said before."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.dispatch.endpoint import answering, open_endpoint

from runcord.dispatch.addresses import LOOPBACK, AddressGuard, networks
from runcord.dispatch.dialling import Resolve, resolve
from runcord.dispatch.exchange import Line, NoReply, Reply
from runcord.errors import Invalid

GUARD = AddressGuard()

REFUSED = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.1.2.3": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.127.255.255": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.170": "reserved",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "198.19.0.1": "benchmarking",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::7f00:1": "embedded",
    "::ffff:127.0.0.1": "embedded",
    "::ffff:8.8.8.8": "embedded",
    "64:ff9b::7f00:1": "embedded",
    "64:ff9b:1::1": "embedded",
    "2001:0:1::1": "embedded",
    "2002:7f00:1::1": "embedded",
    "2001:db8::1": "documentation",
    "fc00::1": "unique local",
    "fd12:3456::1": "unique local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "4000::1": "reserved",
}


@pytest.mark.parametrize(("address", "kind"), REFUSED.items())
def test_what_is_not_public_is_refused_and_named(address: str, kind: str) -> None:
    refusal = GUARD.refusal(address)
    assert refusal is not None
    assert kind in refusal and "RUNCORD_DISPATCH_ALLOW" in refusal


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "100.63.0.1", "172.32.0.1", "2606:4700:4700::1111"])
def test_what_is_public_is_permitted(address: str) -> None:
    assert GUARD.refusal(address) is None


def test_the_operator_may_allow_networks() -> None:
    guard = AddressGuard(networks("10.1.0.0/16, fd00::/8,192.168.1.5"))
    for address in ("10.1.2.3", "fd00::1", "192.168.1.5"):
        assert guard.refusal(address) is None
    for address in ("10.2.0.1", "192.168.1.6", "127.0.0.1", "::ffff:10.1.2.3"):
        assert guard.refusal(address) is not None


@pytest.mark.parametrize("text", ["10.0.0.0/33", "localhost", "10.0.0.1/8", "10.0.0.0/8;fd00::/8"])
def test_what_is_no_network_is_no_setting(text: str) -> None:
    with pytest.raises(ValueError):
        networks(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1:8080/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:9000/",
        "https://LOCALHOST./",
        "https://api.localhost/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com:port/",
        "https://[::1/",
        "https:///path",
    ],
)
def test_an_endpoint_of_no_use_is_refused_when_the_job_is_saved(url: str) -> None:
    for name in ("endpoint_url", "fallback_endpoint_url"):
        with pytest.raises(Invalid, match=f"^{name}: ") as refusal:
            GUARD.check_endpoints({name: url})
        assert "secret" not in refusal.value.message


def test_an_endpoint_by_name_is_taken() -> None:
    GUARD.check_endpoints({"endpoint_url": "https://example.com:8443/run?x=1", "fallback_endpoint_url": None})
    GUARD.check_endpoints({"endpoint_url": "https://8.8.8.8/"})


# --- at dial time -------------------------------------------------------------------------------------


def names(*answers: Sequence[str] | OSError) -> Resolve:
    """Return a resolver that gives one answer after the other, whatever it is asked."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    return resolve


def post(resolve: Resolve, allow: str = LOOPBACK, *, host: str = "rebound.example.com") -> list[Reply | NoReply]:
    """Send two requests to an endpoint on 127.0.0.1 by a name, and return what came of them."""

    async def inside() -> list[Reply | NoReply]:
        line = Line(AddressGuard(networks(allow)), resolve)
        async with open_endpoint(answering(200)) as endpoint:
            url = endpoint.url.replace("127.0.0.1", host)
            outcomes = [(await line.post(url, {}, b"{}", 5)).outcome for _ in range(2)]
            reached = [request.headers["host"] for request in endpoint.requests]
            assert reached == [url.split("/")[2]] * sum(isinstance(outcome, Reply) for outcome in outcomes)
            return outcomes

    return asyncio.run(inside())


def test_a_name_that_is_bound_to_another_address_later_is_judged_by_that_one() -> None:
    first, second = post(names(["127.0.0.1"], ["10.0.0.1"]))
    assert isinstance(first, Reply) and first.status == 200
    assert isinstance(second, NoReply) and second.error_class == "address"
    assert "rebound.example.com: 10.0.0.1 is private" in second.message


def test_of_several_addresses_only_the_permitted_are_tried() -> None:
    for outcome in post(names(["10.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"])):
        assert isinstance(outcome, Reply)


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    for outcome in post(names(["127.0.0.9", "127.0.0.1"])):
        assert isinstance(outcome, Reply)


def test_a_name_that_is_not_known_is_a_failure_of_the_connection() -> None:
    for outcome in post(names(OSError(-2, "Name or service not known"))):
        assert isinstance(outcome, NoReply)
        assert (outcome.error_class, "cannot resolve rebound.example.com" in outcome.message) == ("connection", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1"])
def test_without_leave_loopback_is_not_reached_however_it_is_written(host: str) -> None:
    for outcome in post(resolve, "", host=host):
        assert isinstance(outcome, NoReply)
        assert outcome.error_class == "address" and "127.0.0.1 is loopback" in outcome.message


def test_an_address_in_version_6_is_reached_and_named() -> None:
    async def inside() -> None:
        async with open_endpoint(answering(200), "::1") as endpoint:
            outcome = (await Line(AddressGuard(networks(LOOPBACK))).post(endpoint.url, {}, b"", 5)).outcome
            assert isinstance(outcome, Reply)
            assert endpoint.requests[0].headers["host"].startswith("[::1]:")

    asyncio.run(inside())
