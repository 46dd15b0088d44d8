"""Which addresses endpoints may have: by default, those of the public internet alone.

Whoever may create a job chooses where the server connects to. The guard keeps that from reaching what only the server
can reach: its own loopback, its network, the metadata service of its cloud. It judges addresses, not names, and is
asked with the very address that is then connected to (`dispatch.dialling`), so that a name that resolves to one
address when it is checked and to another when it is used gains nothing.
"""

import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from runcord.errors import Invalid

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# The special-purpose registries of IANA (RFC 6890 and its successors), and what carries an IPv4 address inside.
_SPECIAL: Sequence[tuple[Network, str]] = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "an embedded IPv4 address"),
        ("::ffff:0:0/96", "an embedded IPv4 address"),
        ("64:ff9b::/96", "an embedded IPv4 address"),
        ("64:ff9b:1::/48", "an embedded IPv4 address"),
        ("2001::/32", "an embedded IPv4 address"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "an embedded IPv4 address"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")

LOOPBACK = "127.0.0.0/8,::1/128"
"""What `runcord dev` allows unless it is told otherwise."""


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list such as `10.1.0.0/16, fd00::/8`; a single address is a network of one.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class AddressGuard:
    """Says which addresses may be connected to: public ones, and those in the networks that the operator allows."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def refusal(self, address: str) -> str | None:
        """Return why the address may not be connected to; None when it may."""
        parsed = ip_address(address.partition("%")[0])
        if any(parsed in network for network in self._allowed):
            return None
        kind = _kind(parsed)
        if kind is None:
            return None
        return f"{parsed} is {kind}, and endpoints must be public: the operator may allow it (RUNCORD_DISPATCH_ALLOW)"

    def check_endpoints(self, settings: Mapping[str, Any]) -> None:
        """Refuse endpoints in the settings of a job that can be told to be of no use. Names are not resolved.

        Raises:
            Invalid: one has no host, holds credentials, or names an address that may not be connected to.
        """
        for name in ("endpoint_url", "fallback_endpoint_url"):
            url = settings.get(name)
            reason = None if url is None else self._fault_of(url)
            if reason is not None:
                raise Invalid(f"{name}: {reason}")

    def _fault_of(self, url: str) -> str | None:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            return f"this is no URL: {error}"
        if not host:
            return "a URL needs a host"
        if "@" in parts.netloc:
            return "a URL must not hold credentials: let the endpoint check the request's signature"
        literal = _literal(host)
        return None if literal is None else self.refusal(literal)


def _kind(address: Address) -> str | None:
    for network, kind in _SPECIAL:
        if address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "reserved"
    return None


def _literal(host: str) -> str | None:
    """Return the address that a host is, also when it is written as C libraries read it (`127.1`, `0x7f000001`)."""
    if host.rstrip(".").lower().rpartition(".")[2] == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError, ValueError):
        return None
