import os
import signal
import stat
import threading
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from runcord.embedded import find_binaries
from runcord.errors import ConfigurationError, Unavailable


def test_a_server_keeps_its_data_over_a_stop_and_a_start(state_dir: Path, supervise) -> None:
    server = supervise(state_dir)
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert server.pid is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn)
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_the_server_listens_on_its_socket_alone_and_runs_as_the_chosen_account(
    state_dir: Path, supervise, account
) -> None:
    server = supervise(state_dir)
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        (user,) = connection.execute("SELECT current_user").fetchone()
    assert user == "runcord"
    assert (server.home / "data").stat().st_uid == account.uid
    assert stat.S_IMODE((server.home / "data").stat().st_mode) == 0o700
    if Path(f"/proc/{server.pid}").exists():
        assert Path(f"/proc/{server.pid}").stat().st_uid == account.uid != 0


def test_the_server_has_a_session_of_its_own_so_that_ctrl_c_reaches_us_first(state_dir: Path, supervise) -> None:
    server = supervise(state_dir)
    server.start()
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_a_second_start_on_the_same_state_directory_is_refused_by_pid(state_dir: Path, supervise, drive) -> None:
    holder = drive(state_dir)
    with pytest.raises(ConfigurationError, match=f"in use by process {holder.process.pid}:"):
        supervise(state_dir).start()
    with psycopg.connect(holder.said["dsn"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_two_state_directories_run_side_by_side(open_dir: Path, supervise) -> None:
    first, second = supervise(open_dir / "one"), supervise(open_dir / "two")
    with psycopg.connect(first.start()) as connection:
        connection.execute("CREATE TABLE only_here ()")
    with psycopg.connect(second.start()) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


def test_a_server_that_does_not_start_shows_the_end_of_its_log_and_can_be_tried_again(
    state_dir: Path, supervise
) -> None:
    server = supervise(state_dir, settings={"shared_buffers": "plenty"})
    with pytest.raises(Unavailable, match=r'(?s)exited with code 1 .*"shared_buffers": "plenty"'):
        server.start()
    assert server.pid is None
    supervise(state_dir).start()


def test_the_server_outlives_the_thread_that_asked_for_it(state_dir: Path, supervise) -> None:
    # On Linux the server dies with the thread that forked it.
    server = supervise(state_dir)
    asking = threading.Thread(target=server.start)
    asking.start()
    asking.join()
    with psycopg.connect(server.dsn) as connection:
        first = server.pid
        assert connection.execute("SELECT pg_sleep(0.05)").fetchone() is not None
    assert server.pid == first


def test_a_state_directory_that_cannot_be_made_is_told(open_dir: Path, supervise) -> None:
    (open_dir / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        supervise(open_dir / "file").start()


def test_settings_that_forget_need_the_operators_word(state_dir: Path, supervise) -> None:
    with pytest.raises(ConfigurationError, match="fsync is off"):
        supervise(state_dir, settings={"fsync": "off"}).start()
    supervise(state_dir, settings={"fsync": "off"}, allow_unsafe=True).start()


@pytest.mark.faults
def test_a_killed_server_is_back_within_a_second_with_every_acknowledged_row(
    state_dir: Path, supervise, wait_until
) -> None:
    server = supervise(state_dir)
    acknowledged = 0
    with capture_logs() as logs:
        with psycopg.connect(server.start(), autocommit=True) as connection:
            connection.execute("CREATE TABLE fact (n bigint PRIMARY KEY)")
            killed = server.pid
            with pytest.raises(psycopg.OperationalError):
                while True:
                    connection.execute("INSERT INTO fact VALUES (%s)", [acknowledged + 1])
                    acknowledged += 1
                    if acknowledged == 200:
                        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: any(entry["event"] == "embedded_postgres_restarted" for entry in logs))
    with psycopg.connect(server.dsn) as connection:
        stored = [n for (n,) in connection.execute("SELECT n FROM fact ORDER BY n")]
    # The row whose answer the kill swallowed may be there or not.
    assert acknowledged >= 200
    assert stored in (list(range(1, acknowledged + 1)), list(range(1, acknowledged + 2)))
    died, restarted = (entry for entry in logs if entry["log_level"] == "warning")
    assert (died["event"], died["pid"], died["exit_code"]) == ("embedded_postgres_died", killed, -signal.SIGKILL)
    assert restarted["pid"] == server.pid != killed
    assert restarted["seconds_down"] < 1


@pytest.mark.faults
def test_a_server_killed_again_and_again_comes_back_each_time(state_dir: Path, supervise, wait_until) -> None:
    server = supervise(state_dir)
    server.start()
    for _ in range(3):
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda killed=killed: server.pid not in {None, killed})
        with psycopg.connect(server.dsn) as connection:
            connection.execute("SELECT 1")


@pytest.mark.faults
@pytest.mark.slow
def test_a_server_that_hangs_is_stopped_by_force_after_the_grace(state_dir: Path, supervise) -> None:
    server = supervise(state_dir, stop_grace=0.2)
    with psycopg.connect(server.start()) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        server.stop()
    # PostgreSQL itself kills what has not gone five seconds after the immediate shutdown.
    assert "received immediate shutdown request" in (server.home / "log").read_text()
    assert server.pid is None


def test_recovery_is_reported_while_it_goes_on(state_dir: Path, supervise, drive) -> None:
    holder = drive(state_dir)
    # Both at once: the server has no time to shut down, so that its log must be replayed.
    os.kill(holder.said["pid"], signal.SIGSTOP)
    holder.process.kill()
    holder.process.wait()
    os.kill(holder.said["pid"], signal.SIGKILL)
    lines: list[str] = []
    supervise(state_dir, progress=lines.append).start()
    assert any("automatic recovery in progress" in line for line in lines)


def test_binaries_can_be_given(state_dir: Path, supervise) -> None:
    binaries = find_binaries()
    with psycopg.connect(supervise(state_dir, binaries=binaries).start()) as connection:
        assert connection.info.parameter_status("server_version").startswith(binaries.version)
