"""From what callers call types of events to the types."""

from collections.abc import Sequence

from runcord.errors import Invalid
from runcord.ledger import mapper


def event_classes(names: Sequence[str]) -> list[type]:
    """Return the classes of events by their names, with or without the version at the end.

    Raises:
        Invalid: there is no such type.
    """
    classes: list[type] = []
    for name in names:
        found = [cls for known, cls in mapper.REGISTRY.items() if name in (known, known.rpartition(".v")[0])]
        if not found:
            raise Invalid(f"{name[:128]!r} is no type of event: they are called like run.triggered or run.retried")
        classes += found
    return classes
