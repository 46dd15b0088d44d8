"""Which projections there are: those that installed packages bring, Runcord's own among them."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import cast

from runcord.errors import ConfigurationError
from runcord.projecting.projection import AnyProjection, BatchProjection

GROUP = "runcord.projections"


@cache
def projections() -> Mapping[str, AnyProjection]:
    """Return all projections by name, in the order of their names.

    Raises:
        ConfigurationError: an entry point cannot be loaded, is no projection, or two have one name.
    """
    found: dict[str, AnyProjection] = {}
    for entry in entry_points(group=GROUP):
        try:
            projection = entry.load()
        except Exception as error:
            raise ConfigurationError(f"the projection {entry.value!r} cannot be loaded: {error}") from error
        if not isinstance(projection, BatchProjection):
            raise ConfigurationError(f"{entry.value!r} is no projection: an entry point names an instance of one")
        if entry.name in found or cast(AnyProjection, projection).name != entry.name:
            raise ConfigurationError(f"{entry.value!r}: a projection has one entry point, by its own name")
        found[entry.name] = cast(AnyProjection, projection)
    return MappingProxyType(dict(sorted(found.items())))
