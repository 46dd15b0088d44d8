"""Dividing a page of events among runs: stretches where they go plain ways, steps for all else."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from runcord.projecting.projection import NO_ID, NO_METADATA, Step
from runcord.recorded import Recorded
from runcord.run.build import named_tuple
from runcord.run.outline import CHANGES, Outline, first_outline
from runcord.run.stretches import Stretch, Ways


class Page(NamedTuple):
    """Events that follow each other; all columns run in parallel."""

    stream_ids: Sequence[str]
    versions: Sequence[int]
    positions: Sequence[int]
    times: Sequence[datetime]
    events: Sequence[Any]


def places_of(page: Page) -> dict[str, list[int]]:
    """Return where the events of each stream stand."""
    places: dict[str, list[int]] = {}
    for n, stream_id in enumerate(page.stream_ids):
        mine = places.get(stream_id)
        if mine is None:
            places[stream_id] = [n]
        else:
            mine.append(n)
    return places


def divide(
    page: Page, places: Mapping[str, Sequence[int]], known: dict[str, Outline], ways: Ways
) -> tuple[list[Step], list[Stretch]]:
    """Return the stretches of a page, and the steps of all other runs in their order.

    `places` says where the events of each stream stand. `known` has the outlines of all runs that were there before the
    page; it is brought up to its end. Runs after which hardly anything comes are forgotten.
    """
    _, versions, positions, times, events = page
    kinds = list(map(type, events))
    stretches: list[Stretch] = []
    others: list[int] = []
    for stream_id, mine in places.items():
        first, end = mine[0], mine[-1] + 1
        run = known.get(stream_id) or first_outline(stream_id, events[first], times[first])
        if run is None:
            others += mine
            continue
        alone = end - first == len(mine)
        its_kinds = tuple(kinds[first:end] if alone else [kinds[n] for n in mine])
        its_events = events[first:end] if alone else [events[n] for n in mine]
        way = ways.of(run, its_kinds, its_events)
        if way is None:
            others += mine
            continue
        if alone:
            its = versions[first:end], positions[first:end], times[first:end]
        else:
            its = [versions[n] for n in mine], [positions[n] for n in mine], [times[n] for n in mine]
        stretch: Stretch = named_tuple(Stretch, (way, run, its_events, *its))
        if way.ends:
            known.pop(stream_id, None)
        else:
            known[stream_id] = stretch.outline()
        stretches.append(stretch)
    return [_step(page, n, known) for n in sorted(others)], stretches


def follow(
    known: dict[str, Outline], stream_id: str, at: datetime, event: Any
) -> tuple[Outline | None, Outline | None]:
    """Have an event change the outline that is known; return it before and after."""
    before = after = known.get(stream_id)
    if before is None:
        after = first_outline(stream_id, event, at)
    elif (evolve := CHANGES.get(event.__class__)) is not None:
        after = evolve(before, event, at)
    if after is not None and after is not before:
        known[stream_id] = after
    return before, after


def _step(page: Page, n: int, known: dict[str, Outline]) -> Step:
    """Return what an event does, and have it done to the outline that is known."""
    stream_id, version, position = page.stream_ids[n], page.versions[n], page.positions[n]
    at, event = page.times[n], page.events[n]
    before, after = follow(known, stream_id, at, event)
    recorded = named_tuple(Recorded, (stream_id, version, position, at, NO_ID, NO_METADATA, event))
    return named_tuple(Step, (before, recorded, after))
