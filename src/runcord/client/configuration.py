"""Where the server is and how to speak to it: arguments first, then the environment."""

import os
from dataclasses import dataclass

from runcord.client.policy import RetryPolicy
from runcord.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Configuration:
    """Hold what both clients need to know. `timeout` is in seconds, for one try."""

    base_url: str
    api_key: str
    timeout: float
    policy: RetryPolicy
    connections: int


def configure(
    base_url: str | None, api_key: str | None, timeout: float, retries: int, connections: int
) -> Configuration:
    """Return the configuration; `RUNCORD_BASE_URL` and `RUNCORD_API_KEY` stand in for what is None.

    Raises ConfigurationError when either is in neither place, or when the address is not one of HTTP.
    """
    base_url = base_url or os.environ.get("RUNCORD_BASE_URL")
    api_key = api_key or os.environ.get("RUNCORD_API_KEY")
    if not base_url:
        raise ConfigurationError("Say where the server is: pass base_url or set RUNCORD_BASE_URL.")
    if not base_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"base_url must begin with http:// or https://, not {base_url!r}.")
    if not api_key:
        raise ConfigurationError("An API key is needed: pass api_key or set RUNCORD_API_KEY.")
    return Configuration(base_url.rstrip("/"), api_key, timeout, RetryPolicy(retries), connections)
