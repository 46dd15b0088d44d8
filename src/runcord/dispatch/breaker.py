"""Circuit breakers: an endpoint that keeps failing is left alone for a while.

A breaker is closed, and counts failures in a row; open, and lets nothing through until its pause is over; or half-open,
with one probe under way. A probe that succeeds closes it, one that fails opens it for twice as long as before.

Each server process has breakers of its own: what one has learnt of an endpoint the others find out for themselves.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import structlog

from runcord.clock import monotonic

log = structlog.get_logger(__name__)

FAILURES = 5
"""So many failures in a row open a closed breaker."""

PAUSE_SECS = 5.0
MAX_PAUSE_SECS = 60.0

_KEPT = 10_000


@dataclass
class _Circuit:
    failures: int = 0
    pause_secs: float = 0.0
    opens_until: float = 0.0
    probing: bool = False

    @property
    def is_closed(self) -> bool:
        return self.pause_secs == 0.0


class Breakers:
    """The breakers of the endpoints that have failed of late; the others have none."""

    def __init__(self, failures: int = FAILURES, pause_secs: float = PAUSE_SECS) -> None:
        self._failures = failures
        self._pause_secs = pause_secs
        self._circuits: dict[Hashable, _Circuit] = {}

    def permits(self, endpoint: Hashable) -> int | None:
        """Return how many requests may be begun: 0, 1 (a probe), or None for any number."""
        circuit = self._circuits.get(endpoint)
        if circuit is None or circuit.is_closed:
            return None
        return 0 if circuit.probing or monotonic() < circuit.opens_until else 1

    def begin(self, endpoint: Hashable) -> None:
        """Note that a request is begun: with an open breaker, it is the probe."""
        circuit = self._circuits.get(endpoint)
        if circuit is not None and not circuit.is_closed:
            circuit.probing = True

    def succeeded(self, endpoint: Hashable) -> None:
        """Note that the endpoint works."""
        circuit = self._circuits.pop(endpoint, None)
        if circuit is not None and not circuit.is_closed:
            log.info("endpoint_circuit_closed", endpoint=str(endpoint))

    def abandoned(self, endpoint: Hashable) -> None:
        """Note that a request was given up before it told anything about the endpoint."""
        circuit = self._circuits.get(endpoint)
        if circuit is not None:
            circuit.probing = False

    def failed(self, endpoint: Hashable) -> None:
        """Note that the endpoint could not be reached, or answered that it is broken."""
        if len(self._circuits) >= _KEPT and endpoint not in self._circuits:
            del self._circuits[next(iter(self._circuits))]
        circuit = self._circuits.setdefault(endpoint, _Circuit())
        circuit.failures += 1
        if circuit.is_closed and circuit.failures < self._failures:
            return
        if not circuit.is_closed and not circuit.probing:
            return  # one of those that were under way when it opened
        circuit.pause_secs = min(circuit.pause_secs * 2 or self._pause_secs, MAX_PAUSE_SECS)
        circuit.opens_until = monotonic() + circuit.pause_secs
        circuit.probing = False
        log.warning(
            "endpoint_circuit_open", endpoint=str(endpoint), failures=circuit.failures, pause_secs=circuit.pause_secs
        )

    def open_endpoints(self) -> list[Hashable]:
        """Return the endpoints whose breakers are not closed."""
        return [endpoint for endpoint, circuit in self._circuits.items() if not circuit.is_closed]
