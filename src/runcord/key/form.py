"""The forms of API keys: what a key looks like says what may be done with it.

Beside the usual form, `strait_…`, there are those of Trigger.dev, whose clients look at the key: of a root key (`tr_`
and an environment) and of an additional one (`tr_…_sk_` and 24 characters), both secret, and of a public one (`pk_…`),
which may be shown to anybody.
"""

import re
from typing import Literal

Form = Literal["trigger", "trigger-sk", "trigger-pk"]
"""Root, additional and public; a key of any other form has none."""

Environment = Literal["dev", "stg", "prod", "preview"]

PUBLIC_SCOPES = ("runs:read",)
"""What public keys may do, and nothing else; payloads and outputs are kept from them besides."""

_ROOT_CHARACTERS = 48
_OTHER_CHARACTERS = 24
"""Clients tell an additional key by exactly so many."""

_SECRET = re.compile(r"tr_(dev|stg|prod|preview)_(sk_[0-9A-Za-z]{24}\Z)?")
_PUBLIC = re.compile(r"pk_(?:(dev|stg|prod|preview)_)?")


def beginning_of(form: Form, environment: Environment) -> str:
    """Return how keys of a form begin."""
    match form:
        case "trigger":
            return f"tr_{environment}_"
        case "trigger-sk":
            return f"tr_{environment}_sk_"
        case "trigger-pk":
            return f"pk_{environment}_"


def characters_of(form: Form) -> int:
    """Return how many random characters of `[0-9A-Za-z]` follow in a new key: 142 bits or more."""
    return _ROOT_CHARACTERS if form == "trigger" else _OTHER_CHARACTERS


def form_of(key: str) -> tuple[Form | None, Environment | None]:
    """Return the form of a key, as its holder's client tells it, and its environment."""
    if found := _SECRET.match(key):
        return "trigger-sk" if found[2] else "trigger", _environment(found[1])
    if found := _PUBLIC.match(key):
        return "trigger-pk", _environment(found[1])
    return None, None


def is_signed_with(form: Form | None) -> bool:
    """Return whether clients sign public tokens with keys of a form, so that the keys themselves have to be kept."""
    return form in {"trigger", "trigger-sk"}


def _environment(text: str | None) -> Environment | None:
    match text:
        case "dev" | "stg" | "prod" | "preview":
            return text
        case _:
            return None
