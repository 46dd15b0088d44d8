"""Tags: strings there, entries of a mapping here.

The string `s` is kept as the key `s` with an empty value, so that nothing is lost and `user:1` and `user:2` stay two.
An entry with a value, which our own API makes, is shown as `key:value` (`key.token_scopes.tag_texts`).
"""

from collections.abc import Iterable

from runcord.errors import Invalid, TooManyTags

MOST = 10
"""How many a run may have, as far as this API gives them."""

LONGEST = 128


def entries_of(tags: Iterable[str]) -> dict[str, str]:
    """Return tags as a run keeps them.

    Raises:
        TooManyTags: there are more than `MOST`.
        Invalid: one is empty or longer than `LONGEST` characters.
    """
    entries = dict.fromkeys(tags, "")
    for tag in entries:
        if not 1 <= len(tag) <= LONGEST:
            raise Invalid(f"a tag has 1 to {LONGEST} characters, this one has {len(tag)}: {tag[:32]!r}")
    if len(entries) > MOST:
        raise TooManyTags(f"a run has at most {MOST} tags, these are {len(entries)}")
    return entries


def readings(tag: str) -> list[dict[str, str]]:
    """Return the entries that a string may stand for: its own, and that of `key:value`, split at the first colon."""
    key, colon, value = tag.partition(":")
    return [{tag: ""}, {key: value}] if colon and key and value else [{tag: ""}]
