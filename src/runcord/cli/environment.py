"""The variables of the environment that Runcord reads, and those that only look like it."""

from collections.abc import Mapping
from difflib import get_close_matches

from runcord.settings import Settings

PREFIX = "RUNCORD_"

OTHERS = ("RUNCORD_BASE_URL", "RUNCORD_API_KEY", "RUNCORD_FAULT")
"""What is read beside the settings: by clients and workers, and by the tests of crashes."""


def environment_name(field: str) -> str:
    """Return the name of the environment variable that sets a field of Settings."""
    return f"{PREFIX}{field.upper()}"


def without_effect(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that is named as if Runcord read it, and is not read."""
    known = [*map(environment_name, Settings.model_fields), *OTHERS]
    return [
        f"{name} has no effect: {_advice(name, known)}"
        for name in sorted(environment)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]


def _advice(name: str, known: list[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.8)
    return f"did you mean {near[0]}?" if near else "Runcord reads no such variable."
