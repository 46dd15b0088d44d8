from pathlib import Path

import psycopg
import pytest

from runcord.embedded import find_binaries
from runcord.embedded.cluster import ensure_cluster
from runcord.embedded.location import Location
from runcord.errors import ConfigurationError


def test_the_database_depends_on_no_locale_and_checks_its_pages(postgres) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        encoding, provider, locale = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datlocprovider, coalesce(to_jsonb(d)->>'datlocale', datcollate)"
            " FROM pg_database d WHERE datname = current_database()"
        ).fetchone()
        checksums = connection.execute("SHOW data_checksums").fetchone()
    assert (encoding, checksums) == ("UTF8", ("on",))
    assert (provider, locale) == (("b", "C.UTF-8") if find_binaries().major >= 17 else ("c", "C"))


def test_data_of_another_major_version_is_refused_and_left_alone(state_dir: Path, supervise) -> None:
    server = supervise(state_dir)
    server.start()
    server.stop()
    version = server.home / "data" / "PG_VERSION"
    version.write_text("13\n")
    with pytest.raises(ConfigurationError, match=r"made by PostgreSQL 13.*pg_dump.*Nothing was changed"):
        server.start()
    assert version.read_text() == "13\n"


def test_a_directory_that_is_no_database_is_refused(open_dir: Path, account) -> None:
    (open_dir / "data").mkdir()
    with pytest.raises(ConfigurationError, match="not a PostgreSQL data directory"):
        ensure_cluster(Location(open_dir, open_dir / "socket", account), find_binaries(), sync=False)


def test_what_an_interrupted_first_start_left_is_removed(open_dir: Path, account) -> None:
    (open_dir / "unfinished-1" / "base").mkdir(parents=True)
    location = Location(open_dir, open_dir / "socket", account)
    ensure_cluster(location, find_binaries(), sync=False)
    assert sorted(path.name for path in open_dir.iterdir()) == ["data"]
    assert (location.data.stat().st_mode & 0o777, location.data.stat().st_uid) == (0o700, account.uid)
