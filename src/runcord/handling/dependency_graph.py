"""What depends on what: the jobs of a project as a graph, remembered for as long as it stays the same.

Every transaction reads with the ledger's lock where dependencies changed last, so a project without any costs nothing,
and one whose dependencies stay the same costs no query.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runcord.errors import DependencyCycle
from runcord.job.state import Dependency, Job
from runcord.ledger.mapper import JOBS
from runcord.ledger.transaction import Transaction
from runcord.sql import load

SQL = load("runcord.sql", "queries/dependencies.sql")

_KEY = "dependency graph"


@dataclass(frozen=True)
class Graph:
    """The dependencies of each job that has any, and who depends on each job. Never changed."""

    dependencies: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict[str, tuple[Dependency, ...]])
    dependents: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def with_job(self, job: Job) -> "Graph":
        """Return the graph with the dependencies that a job has now."""
        dependencies = {job_id: edges for job_id, edges in self.dependencies.items() if job_id != job.job_id}
        if not job.deleted:
            dependencies[job.job_id] = job.dependencies
        return _graph(dependencies)

    def depends(self, job_id: str, on: str) -> bool:
        """Return whether a job depends on another, by however many others between them, or is that job."""
        seen, ahead = {job_id}, [job_id]
        while ahead:
            for edge in self.dependencies.get(ahead.pop(), ()):
                if edge.depends_on_job_id not in seen:
                    seen.add(edge.depends_on_job_id)
                    ahead.append(edge.depends_on_job_id)
        return on in seen


@dataclass
class _Held:
    graph: Graph


_EMPTY = Graph()


def graph_of(tx: Transaction) -> Graph:
    """Return the graph as this transaction has it so far."""
    return _held(tx).graph


def note(tx: Transaction, job: Job) -> None:
    """Let this transaction go on with the dependencies that a job has now, and forget endings nobody asks for more."""
    held = _held(tx)
    before = held.graph
    held.graph = before.with_job(job)
    for job_id in sorted(before.dependents.keys() - held.graph.dependents.keys()):
        tx.write(SQL["forget_endings"], {"job_id": job_id})

    def restore() -> None:
        held.graph = before

    tx.on_undo(restore)


def require_no_cycle(tx: Transaction, job: Job, on: Job) -> None:
    """Raise DependencyCycle if `on` depends on `job` already."""
    if graph_of(tx).depends(on.job_id, job.job_id):
        one, other = job.settings.slug, on.settings.slug
        raise DependencyCycle(
            f"job {other!r} depends on job {one!r}, directly or through others: if {one!r} depended on {other!r}, "
            "neither would ever run"
        )


def _held(tx: Transaction) -> _Held:
    return tx.memory(_KEY, lambda: _Held(_known(tx)))


def _known(tx: Transaction) -> Graph:
    if not tx.dependencies_position:
        return _EMPTY
    return tx.recall(_KEY, tx.dependencies_position, lambda: _read(tx))


def _read(tx: Transaction) -> Graph:
    jobs: Iterable[Job] = (JOBS.decode(bytes(state)) for (state,) in tx.query(SQL["depending_jobs"], {}))
    return _graph({job.job_id: job.dependencies for job in jobs})


def _graph(dependencies: Mapping[str, tuple[Dependency, ...]]) -> Graph:
    dependents: dict[str, set[str]] = {}
    for job_id, edges in dependencies.items():
        for edge in edges:
            dependents.setdefault(edge.depends_on_job_id, set()).add(job_id)
    return Graph(dependencies, {job_id: frozenset(found) for job_id, found in dependents.items()})
