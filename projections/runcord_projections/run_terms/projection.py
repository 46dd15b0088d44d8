"""The inline projection `run_terms`: under which terms runs are filed, and where."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from runcord.ledger.arrays import Bigints, Texts
from runcord.ledger.view import Change, Statement
from runcord.run import events as e
from runcord.run.metadata import places_of
from runcord.run.payload import batch_of
from runcord.run.state import Run
from runcord.sql import load
from runcord_projections.run_terms.terms import batch_term, job_term, terms_of_labels, terms_of_payload, trigger_term

SQL = load("runcord_projections.run_terms", "view.sql")

AREA_BITS = 21
"""A term is filed with the upper bits of the position; the SQL knows these numbers as well."""

MASK_BITS = 63
"""How many positions a row tells of."""


class RunTerms:
    """What lists find runs by. Terms are only ever added."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return one statement for the terms of new runs and one for those that other runs were given."""
        new: dict[int, list[tuple[int, set[int]]]] = {}
        added: set[tuple[str, int]] = set()
        first = -MASK_BITS
        for change in changes:
            if not isinstance(change.after, Run):
                continue
            terms = _terms(change)
            if change.before is not None:
                added.update([(change.stream_id, term) for term in terms])
                continue
            position = change.recorded[0].position
            if not 0 <= position - first < MASK_BITS or position >> AREA_BITS != first >> AREA_BITS:
                first = position
            new.setdefault(first, []).append((1 << (position - first), terms))
        if new:
            yield SQL["insert"], {"project_id": project_id, **_rows(new)}
        if added:
            run_ids, terms = zip(*added, strict=True)
            yield SQL["add"], {"project_id": project_id, "run_ids": Texts(run_ids), "terms": Bigints(terms)}


def _rows(new: Mapping[int, Sequence[tuple[int, set[int]]]]) -> dict[str, Any]:
    """Return the columns of a row for each term at each position from which runs are told of."""
    terms, positions, masks = Bigints(), Bigints(), Bigints()
    for first, runs in new.items():
        filed: dict[int, int] = {}
        for bit, given in runs:
            for term in given:
                filed[term] = filed.get(term, 0) | bit
        area = first >> AREA_BITS << 32
        terms.extend([area | term for term in filed])
        positions.extend([first] * len(filed))
        masks.extend(filed.values())
    return {"terms": terms, "positions": positions, "masks": masks}


def _terms(change: Change) -> set[int]:
    """Return the terms that the events of a change are about."""
    terms: set[int] = set()
    for recorded in change.recorded:
        terms_of = _TERMS_OF.get(recorded.event.__class__)
        if terms_of is not None:
            terms |= terms_of(recorded.event)
    return terms


def _of_trigger(event: e.Triggered) -> set[int]:
    terms = terms_of_payload(event.payload)
    terms.add(job_term(event.job_id))
    terms.add(trigger_term(event.triggered_by))
    if event.batch_id is not None:
        terms.add(batch_term(event.batch_id))
    if event.tags or event.metadata:
        terms |= terms_of_labels(event.tags, event.metadata)
    return terms


def _of_debounce(event: e.Debounced) -> set[int]:
    return terms_of_payload(event.payload) | terms_of_labels(event.tags, event.metadata)


def _of_item(event: e.Batched) -> set[int]:
    return terms_of_payload(batch_of(event.payload)) | terms_of_labels(event.tags, event.metadata)


def _of_operations(event: e.MetadataChanged) -> set[int]:
    """Return the terms of what operations may have made: the values of those that set one, else keys alone."""
    terms: set[int] = set()
    for operation in event.operations:
        if operation.type == "update":
            value = operation.value
            terms |= terms_of_labels(None, cast(Mapping[str, Any], value) if isinstance(value, dict) else None)
        elif operation.key is not None and operation.type != "delete":
            key, *deeper = places_of(operation.key)
            terms |= terms_of_labels(None, {str(key): None if deeper or operation.type != "set" else operation.value})
    return terms


_TERMS_OF: Mapping[type[e.Event], Callable[[Any], set[int]]] = {
    e.Triggered: _of_trigger,
    e.Debounced: _of_debounce,
    e.Batched: _of_item,
    e.Rescheduled: lambda event: terms_of_payload(event.payload),
    e.Tagged: lambda event: terms_of_labels(event.tags, None),
    e.MetadataChanged: _of_operations,
    e.Annotated: lambda event: terms_of_labels(None, event.annotations),
}
"""What each event that gives a run something to be found by makes of it."""
