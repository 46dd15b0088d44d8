"""The demo's input: Python files that are on every machine, and some that parse nowhere."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

DEMO_FILES = Path(__file__).parents[1] / "demo_files"
NOT_STANDARD = frozenset({"site-packages", "dist-packages", "__pycache__"})
OWN = "demo files"
TESTS = frozenset({"test", "tests", "idle_test"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Name a file: `name` is relative to where it was found and unlike that of any other."""

    path: Path
    name: str
    origin: str

    @property
    def priority(self) -> int:
        """Return 1 for files that will be retried, so that their retries need not queue behind everything else."""
        return 1 if self.origin == OWN else 0

    @property
    def payload(self) -> dict[str, str]:
        """Return what the run's worker is told."""
        return {"path": str(self.path), "name": self.name}


def source_files(limit: int | None = None) -> list[SourceFile]:
    """Return the demo's own files, then those of the interpreter's standard library with its test data.

    With a limit, that many of the standard library, spread over all of it.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = sorted(path for path in root.rglob("*.py") if NOT_STANDARD.isdisjoint(path.parts) and path.is_file())
    if limit is not None and limit < len(found):
        found = [found[index * len(found) // limit] for index in range(limit)]
    own = [SourceFile(path, f"demo_files/{path.name}", OWN) for path in sorted(DEMO_FILES.glob("*.py"))]
    return own + [_library_file(path, root) for path in found]


def _library_file(path: Path, root: Path) -> SourceFile:
    relative = path.relative_to(root)
    origin = "standard library" if TESTS.isdisjoint(relative.parts[:-1]) else "tests of the standard library"
    return SourceFile(path, relative.as_posix(), origin)
