"""Requests whose headers are found at once, since a call looks half a dozen up."""

from collections.abc import Mapping
from typing import Any

from starlette import datastructures, requests
from starlette.types import Receive, Scope, Send


class Headers(datastructures.Headers):
    """Headers by name; of several with one name, the first counts."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first: Mapping[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }

    def __getitem__(self, key: str) -> str:
        return self._first[key.lower()]

    def __contains__(self, key: Any) -> bool:
        return key.lower() in self._first

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a header, or what stands for one that is not there."""
        return self._first.get(key.lower(), default)


class Request(requests.Request):
    """A request; its headers are `Headers`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._headers = Headers(scope)
