"""The real SDK of Trigger.dev, called from a test by the names of its functions."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.compat.trigger.node import PATIENCE_SECS, NodeError, NodeProcess, Reply

SdkError = NodeError


class Sdk(NodeProcess):
    """A node process with one major of the SDK, which knows nothing but the address of the server and a key."""

    def __init__(self, major: str, modules: Path, base_url: str, secret: str) -> None:
        self.major = major
        self.base_url = base_url
        self.headers = {"Authorization": f"Bearer {secret}"}
        environment = {"TRIGGER_API_URL": base_url, "TRIGGER_SECRET_KEY": secret}
        super().__init__("driver.mjs", major, modules=modules, environment=environment)

    @property
    def is_new(self) -> bool:
        """Whether it is 4.x."""
        return self.major == "sdk4"

    def __call__(
        self,
        call: str,
        *args: Any,
        collect: int | None = None,
        until: Sequence[str] = (),
        timeout: float = PATIENCE_SECS,
    ) -> Any:
        """Return what a function of the SDK answers; with `collect`, that many items of what it iterates over.

        None is collected after one that has a status of `until`.

        Raises:
            SdkError: it threw.
        """
        if collect is not None:
            return self.follow(call, *args, collect=collect, until=until).all(timeout)
        return self.send(call=call, args=args).result(timeout)

    def follow(self, call: str, *args: Any, collect: int = 10_000, until: Sequence[str] = ()) -> Reply:
        """Begin to iterate over what a function of the SDK returns; other calls may go on meanwhile."""
        return self.send(call=call, args=args, collect=collect, until=until)


def time_of(value: Any) -> datetime:
    """Return a Date of the SDK."""
    return datetime.fromisoformat(value["$date"])
