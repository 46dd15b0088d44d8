"""Rules over several members of a body, as JSON Schema says them: for the OpenAPI document.

A member that is null counts as left out. The models hold themselves to the rules with validators, whose messages say
what to do; the tests that generate requests from the document find out when the two differ.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from pydantic import ConfigDict

Rule = dict[str, Any]

_GIVEN: Rule = {"not": {"type": "null"}}


def ruled(*rules: Rule) -> ConfigDict:
    """Return the configuration of a model whose schema has these rules."""
    return ConfigDict(json_schema_extra={"allOf": list(rules)})


def exactly_one(*names: str) -> Rule:
    """Exactly one of these members is given."""
    return {"oneOf": [_given(name) for name in names]}


def at_least_one(*names: str) -> Rule:
    """One or more of these members are given."""
    return {"anyOf": [_given(name) for name in names]}


def either(name: str, *others: str) -> Rule:
    """Either this member is given, or one or more of the others are."""
    return {"oneOf": [_given(name), at_least_one(*others)]}


def at_most_one(*names: str) -> Rule:
    """At most one of these members is given."""
    pairs = [_given(*pair) for pair in combinations(names, 2)]
    return {"not": pairs[0] if len(pairs) == 1 else {"anyOf": pairs}}


def given_if(name: str, other: str, value: str) -> Rule:
    """`name` is given whenever `other` is `value`."""
    condition = {"properties": {other: {"const": value}}, "required": [other]}
    return {"if": condition, "then": _given(name)}


def only_with(name: str, other: str) -> Rule:
    """`name` is given only where `other` is."""
    return {"if": _given(name), "then": _given(other)}


def not_both_on(one: str, other: str) -> Rule:
    """At most one of these numbers is above 0."""
    return {"not": {"allOf": [_on(one), _on(other)]}}


def on_with(name: str, other: str) -> Rule:
    """If this number is above 0, the other one is."""
    return {"if": _on(name), "then": _on(other)}


def something_besides(name: str) -> Rule:
    """A member is there, null or not, that is not this one."""
    return {"minProperties": 1, "not": {"maxProperties": 1, "required": [name]}}


def or_text(schema: Rule) -> None:
    """Let the schema of a model permit a string in its place."""
    _or(schema, {"type": "string"})


def or_flat(member: str) -> Callable[[Rule], None]:
    """Return what lets the schema of a model permit the value of its one member in its place."""
    return lambda schema: _or(schema, schema["properties"][member])


def _or(schema: Rule, other: Rule) -> None:
    whole = dict(schema)
    schema.clear()
    schema["anyOf"] = [whole, other]


def _on(name: str) -> Rule:
    return {"required": [name], "properties": {name: {"type": "integer", "minimum": 1}}}


def _given(*names: str) -> Rule:
    return {"required": list(names), "properties": dict.fromkeys(names, _GIVEN)}
