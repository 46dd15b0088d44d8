"""What a benchmark found: rows of figures, and checks that decide whether they count."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from runcord_bench.sampling import Figure

console = Console(highlight=False)
if not console.is_terminal:
    console.width = 120  # no table is wider


@dataclass(frozen=True)
class Line:
    """One thing measured: the product beside its floor, perhaps beside peers."""

    what: str
    product: Figure
    floor: Figure
    peers: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    """By their names."""

    @property
    def to_floor(self) -> float:
        """The product's rate as a part of the floor's; for times, the floor's median as a part of the product's."""
        return _ratio(self.product, self.floor)

    @property
    def to_peers(self) -> Mapping[str, float]:
        """The same against each peer."""
        return {name: _ratio(self.product, peer) for name, peer in self.peers.items()}

    @property
    def to_best_peer(self) -> float | None:
        """The least of these, if there are any."""
        return min(self.to_peers.values(), default=None)


def line_of(what: str, figures: Mapping[str, Figure]) -> Line:
    """Return the line of sides of which two are `product` and `floor`, and the others peers."""
    peers = {name: figure for name, figure in figures.items() if name not in {"product", "floor"}}
    return Line(what, figures["product"], figures["floor"], peers)


@dataclass(frozen=True)
class Check:
    """A must or a test of correctness: `found` says what came out, for people."""

    what: str
    found: str
    passed: bool
    of_speed: bool = False
    """Whether it is about a figure: a quick run, of one short sample, shows those and does not judge by them."""


Ledgers = Literal["whole", "log", "copies"]
"""What a benchmark's ledgers are: written by commands; filled with events alone; or multiplied by copies of rows."""


@dataclass(frozen=True)
class Report:
    """Everything one benchmark found."""

    lines: Sequence[Line]
    checks: Sequence[Check]
    unit: str = "per second"
    """What the rates are."""
    beside: str = "floor"
    """What the product is held against, in a word."""
    ledgers: Ledgers = "whole"

    @property
    def passed(self) -> bool:
        """Whether every must was reached and every test of correctness passed."""
        return all(check.passed for check in self.checks)

    @property
    def correct(self) -> bool:
        """Whether every test of correctness passed, whatever the figures."""
        return all(check.passed for check in self.checks if not check.of_speed)


def print_conditions(conditions: Mapping[str, Any]) -> None:
    """Print under what conditions the figures arise."""
    for name, value in conditions.items():
        console.print(f"{name.replace('_', ' '):>22}  {value}", soft_wrap=True)


def print_report(name: str, report: Report) -> None:
    """Print the table of a benchmark, a row for each side, and its checks."""
    table = Table(title=f"[bold]{name}[/]", title_justify="left")
    for heading in ("", "side", report.unit, "spread", "p50 ms", "p99 ms", "product is"):
        table.add_column(heading, justify="left" if heading in {"", "side"} else "right", no_wrap=True)
    for line in report.lines:
        table.add_row(line.what, "product", *_cells(line.product), "")
        table.add_row("", report.beside, *_cells(line.floor), f"{line.to_floor:.2f} ×", end_section=not line.peers)
        for peer, ratio in line.to_peers.items():
            table.add_row("", peer, *_cells(line.peers[peer]), f"{ratio:.2f} ×")
        table.add_section()
    console.print()
    console.print(table)
    for check in report.checks:
        verdict = "passed" if check.passed else "[bold red]FAILED[/]"
        console.print(f"  {verdict}  {check.what}: {check.found}", soft_wrap=True)


def as_json(conditions: Mapping[str, Any], reports: Mapping[str, Report]) -> dict[str, Any]:
    """Return everything as JSON values; the members are listed in docs/how-to/benchmark.md."""
    return {
        "conditions": dict(conditions),
        "passed": all(report.passed for report in reports.values()),
        "benchmarks": {
            name: {
                "passed": report.passed,
                "unit": report.unit,
                "beside": report.beside,
                "lines": [_line(line) for line in report.lines],
                "checks": [asdict(check) for check in report.checks],
            }
            for name, report in reports.items()
        },
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "what": line.what,
        "product": _figure(line.product),
        "floor": _figure(line.floor),
        "peers": {name: _figure(peer) for name, peer in line.peers.items()},
        "product_to_floor": line.to_floor,
        "product_to_best_peer": line.to_best_peer,
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "spread": figure.spread}


def _ratio(product: Figure, other: Figure) -> float:
    if product.rate is not None and other.rate is not None:
        return product.rate / other.rate
    return other.percentiles_ms["p50"] / product.percentiles_ms["p50"]


def _cells(figure: Figure) -> Sequence[str]:
    return (
        "" if figure.rate is None else f"{figure.rate:,.{0 if figure.rate >= 20 else 1}f}",
        "" if figure.spread is None or figure.samples < 2 else f"{figure.spread:.0%}",
        *(f"{figure.percentiles_ms[name]:.1f}" if figure.percentiles_ms else "" for name in ("p50", "p99")),
    )
