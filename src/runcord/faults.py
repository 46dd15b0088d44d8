"""Named places where a test may stop, kill or break this process.

In production a fault point costs one comparison. `runcord.testing.faults` arms them, in process or, for processes
that a test starts, through the environment variable `RUNCORD_FAULT`.
"""

import os
import signal
from collections.abc import Callable

_armed: dict[str, Callable[[], None]] = {}


def fault_point(name: str) -> None:
    """Do what a test has armed for this place, if anything."""
    if _armed:
        action = _armed.get(name)
        if action is not None:
            action()


def arm(name: str, action: Callable[[], None]) -> None:
    """Have `action` called whenever the place `name` is passed."""
    _armed[name] = action


def disarm() -> None:
    """Forget all that was armed."""
    _armed.clear()


def arm_from_environment() -> None:
    """Arm what `RUNCORD_FAULT` asks for: `<name>:<n>` kills this process with SIGKILL at the n-th passing."""
    wanted = os.environ.get("RUNCORD_FAULT")
    if not wanted:
        return
    name, _, count = wanted.partition(":")
    left = int(count or 1)

    def kill() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    arm(name, kill)
