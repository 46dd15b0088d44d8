"""Connecting to endpoints: a name is resolved once, and each address is checked before it is connected to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, cast

import httpcore2

from runcord.clock import monotonic
from runcord.dispatch.addresses import AddressGuard

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to addresses, the preferred one first. Raises OSError when there is none."""


class AddressRefused(Exception):
    """No address of the endpoint may be connected to."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as the system's resolver orders them; an address stands for itself."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections to addresses that the guard permits, and to nothing else."""

    def __init__(self, guard: AddressGuard, resolve: Resolve = resolve) -> None:
        self._guard = guard
        self._resolve = resolve
        self._backend = cast(httpcore2.AsyncNetworkBackend, httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first permitted address that answers. What is left of `timeout` is shared among the rest.

        Raises:
            AddressRefused: there are addresses, and none may be connected to.
            httpcore2.ConnectError, httpcore2.ConnectTimeout: the name is not known, or nobody answered.
        """
        deadline = monotonic() + (timeout or 3600.0)
        addresses = await self._permitted(host, port, deadline)
        for left in range(len(addresses), 0, -1):
            share = max(0.0, deadline - monotonic()) / left
            try:
                return await self._backend.connect_tcp(addresses[-left], port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if left == 1:
                    raise
        raise AssertionError("there is a last address")

    async def _permitted(self, host: str, port: int, deadline: float) -> list[str]:
        try:
            async with asyncio.timeout(max(0.0, deadline - monotonic())):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"resolving {host} took too long") from error
        except OSError as error:
            raise httpcore2.ConnectError(f"cannot resolve {host}: {error.strerror or error}") from error
        refusals = [self._guard.refusal(address) for address in found]
        permitted = [address for address, refusal in zip(found, refusals, strict=True) if refusal is None]
        if not permitted:
            raise AddressRefused(f"{host}: {refusals[0]}" if refusals else f"{host} has no address")
        return permitted

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse: no endpoint is a socket in the file system."""
        raise AddressRefused("endpoints are reached over TCP")
