"""A page of React with the real hooks of Trigger.dev, as far as a test looks at it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.compat.trigger.node import PATIENCE_SECS, NodeProcess

from runcord.clock import monotonic


class Page(NodeProcess):
    """A node process that renders hooks, in what passes for a browser that is on another origin than the server."""

    def __init__(self, modules: Path) -> None:
        self._mounted: list[Mounted] = []
        super().__init__("hooks.mjs", modules=modules, environment={"NODE_ENV": "production"})

    def mount(self, hook: str, *args: Any, auth: dict[str, Any] | None = None) -> "Mounted":
        """Render a component that uses a hook, within a `TriggerAuthContext` that provides `auth` if that is given."""
        of = self.send(call="mount", hook=hook, args=args, auth=auth).result()
        self._mounted.append(Mounted(self, of, f"{hook}{args}"))
        return self._mounted[-1]

    def clear(self) -> None:
        """Take all components away."""
        for mounted in self._mounted:
            mounted.unmount()
        self._mounted.clear()

    def hide(self, hidden: bool) -> None:
        """Put the page behind another one, or back before the user."""
        self.send(call="hide", hidden=hidden).result()

    def requests(self) -> list[dict[str, Any]]:
        """Return the method, path and headers that needed leave of each request so far, and its status once it is over.

        The status of one that was not answered is the error.
        """
        return self.send(call="requests").result()["requests"]

    def sought(self) -> set[str]:
        """Return the names of the headers that were looked for in answers."""
        return set(self.send(call="requests").result()["sought"])


class Mounted:
    """A component that uses a hook."""

    def __init__(self, page: Page, of: int, what: str) -> None:
        self._page = page
        self._of = of
        self._what = what
        self._seen = 0
        self.told: dict[str, int] = {}
        """How often each function that was given as `told(name)` has been called."""

    def until(self, is_so: Callable[[Any], Any], timeout: float = PATIENCE_SECS) -> Any:
        """Return what the hook returns as soon as it is so."""
        deadline = monotonic() + timeout
        state: Any = None
        while (left := deadline - monotonic()) > 0:
            try:
                said = self._page.send(call="state", of=self._of, after=self._seen).result(left)
            except AssertionError as late:
                raise AssertionError(f"{self._what} shows {state}") from late
            self._seen, self.told, state = said["count"], said["told"], said["state"]
            if is_so(state):
                return state
        raise AssertionError(f"{self._what} shows {state}")

    def use(self, name: str, *args: Any) -> None:
        """Call a function that the hook returned."""
        self._page.send(call="use", of=self._of, name=name, args=args).result()

    def unmount(self) -> None:
        """Take the component away."""
        self._page.send(call="unmount", of=self._of).result()


def told(name: str) -> dict[str, str]:
    """Return a function, for the arguments of a hook, whose calls are counted."""
    return {"$told": name}


def answers(value: Any) -> dict[str, Any]:
    """Return a function, for the arguments of a hook, that returns a promise of a value."""
    return {"$answers": value}
