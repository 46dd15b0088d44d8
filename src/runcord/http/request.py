"""Requests whose headers are found at once, since a call looks half a dozen up."""

from collections.abc import Mapping

from starlette import requests
from starlette.types import Receive, Scope, Send


class Request(requests.Request):
    """A request, and its headers by name."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.fields: Mapping[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }
        """The headers, by their names in lower case; of several with one name, the first."""
