"""The inline projection of admissions: what triggers have left behind, where the next ones look for it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from runcord.ledger.arrays import Integers, Texts, Times
from runcord.ledger.view import Change, Statement
from runcord.run import events as e
from runcord.run.state import Run
from runcord.run.trigger_events import Admission
from runcord.sql import load

SQL = load("runcord.sql", "queries/admission.sql")


class Admissions:
    """Writes `trigger_windows`, `recent_payloads` and `trigger_counts`."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return the statements for windows that began or ended, payloads that are answered for, and counts."""
        admitted = _Admitted()
        for change in changes:
            if change.after.__class__ is Run:
                admitted.add(change)
        yield from admitted.statements(project_id)


class _Admitted:
    def __init__(self) -> None:
        self.opened: list[Run] = []
        self.closed: list[Run] = []
        self.payloads: dict[tuple[str, str], tuple[str, datetime]] = {}
        self.counts: dict[str, tuple[datetime, int, datetime]] = {}

    def add(self, change: Change) -> None:
        before: Run | None = change.before
        after: Run = change.after
        if before is not None and before.window is not None:
            if after.window is None:
                self.closed.append(before)
        elif after.window is not None:
            self.opened.append(after)
        for recorded in change.recorded:
            event = recorded.event
            if event.__class__ in _ADMITTING and event.admission is not None:
                self._leave_behind(after, event.admission, recorded.at)

    def _leave_behind(self, run: Run, admission: Admission, at: datetime) -> None:
        if admission.payload_hash is not None and admission.dedup_until is not None:
            self.payloads[run.job_id, admission.payload_hash] = (run.run_id, admission.dedup_until)
        if admission.rate_window_secs is not None:
            _, count, _ = self.counts.get(run.job_id, (at, 0, at))
            self.counts[run.job_id] = (at, count + 1, at + timedelta(seconds=admission.rate_window_secs))

    def statements(self, project_id: str) -> Iterator[Statement]:
        for name, runs in (("open_trigger_windows", self.opened), ("close_trigger_windows", self.closed)):
            if runs:
                yield SQL[name], {"project_id": project_id, **_windows(runs)}
        if self.payloads:
            yield (
                SQL["remember_payloads"],
                {
                    "project_id": project_id,
                    "job_ids": Texts(job_id for job_id, _ in self.payloads),
                    "payload_hashes": Texts(payload_hash for _, payload_hash in self.payloads),
                    "run_ids": Texts(run_id for run_id, _ in self.payloads.values()),
                    "expires_ats": Times(until for _, until in self.payloads.values()),
                },
            )
        if self.counts:
            yield (
                SQL["count_triggers"],
                {
                    "project_id": project_id,
                    "job_ids": Texts(self.counts),
                    "triggered_ats": Times(at for at, _, _ in self.counts.values()),
                    "counts": Integers(count for _, count, _ in self.counts.values()),
                    "expires_ats": Times(until for _, _, until in self.counts.values()),
                },
            )


_ADMITTING = frozenset({e.Triggered, e.Debounced, e.Postponed, e.Batched})


def _windows(runs: Sequence[Run]) -> dict[str, Texts]:
    windows = [run.window for run in runs if run.window is not None]
    return {
        "job_ids": Texts(run.job_id for run in runs),
        "kinds": Texts(window.kind for window in windows),
        "keys": Texts(window.key for window in windows),
        "run_ids": Texts(run.run_id for run in runs),
    }
