"""Write the golden file of every event type that has none yet: `python tools/make_golden.py`.

A golden file holds stored bytes of one released version of one event type, and what they mean. `tests/golden` reads
them for ever. What is there already is never rewritten: the bytes are what users have in their ledgers. When a type
gets a new version and its old one an upcast, `stored` stays and `event` is brought up to the new version by hand.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from runcord.ledger.mapper import REGISTRY, encode

FOLDER = Path(__file__).parent.parent / "tests" / "golden"

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def main() -> int:
    """Write what is missing and tell its names."""
    for type_name, cls in REGISTRY.items():
        file = FOLDER / f"{type_name}.json"
        if not file.exists():
            file.write_text(golden(type_name, cls), "utf-8")
            print(file.name)
    return 0


def golden(type_name: str, cls: type) -> str:
    """Return the text of a golden file: an event with all its members, and one with the least it must have."""
    examples = [full(cls)]
    if least(cls) != examples[0]:
        examples.append(least(cls))
    described = [{"stored": encode(event).decode(), "event": plain(event)} for event in examples]
    return json.dumps({"type": type_name, "examples": described}, ensure_ascii=False, indent=2) + "\n"


def plain(event: Any) -> dict[str, Any]:
    """Return the event's class and members as JSON has them, defaults included."""
    members: dict[str, Any] = json.loads(json.dumps(asdict(event), default=datetime.isoformat))
    return {"class": type(event).__name__, **members}


def full(cls: type) -> Any:
    """Return an instance none of whose members has its default."""
    hints = get_type_hints(cls)
    return cls(**{f.name: example(hints[f.name], f) for f in fields(cls)})


def least(cls: type) -> Any:
    """Return an instance with nothing but what it must have."""
    hints = get_type_hints(cls)
    return cls(**{f.name: example(hints[f.name], f) for f in fields(cls) if f.default is MISSING})


def example(hint: Any, member: Field[Any]) -> Any:
    """Return a value of that type that is not the member's default."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return example(next(arg for arg in args if arg is not NoneType), member)
    if origin is Literal:
        return next(arg for arg in args if arg != member.default)
    if origin is tuple:
        if is_dataclass(args[0]):
            return (example(args[0], member),)
        return ("one", "another") if str in args else (1.5, 60.0)
    if origin is Mapping:
        return {"key": "value", "ключ": "значение"}
    if is_dataclass(hint) and isinstance(hint, type):
        return full(hint)
    if hint is Any:
        return {"text": "ü€\n", "list": [1, 2.5, None, True, []], "object": {}}
    if hint is bool:
        return member.default is not True
    if hint is datetime:
        return AT
    values = {int: 7, float: 12.5, str: f"some {member.name}"}
    return values[hint]


if __name__ == "__main__":
    sys.exit(main())
