"""What cannot be done is told in a sentence or two, with the exit code, and without a traceback."""

from __future__ import annotations

import errno
import io
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from counterpoint import cli, demo
from counterpoint.recommend import recommend_here
from features.errors import InputError, StoreError
from features.settings import HostSettings
from flows import workspace
from flows.attended import start_server


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """The exit code of a command line, and what it wrote."""
    monkeypatch.setattr(sys, "argv", ["counterpoint", *arguments])
    monkeypatch.setattr(cli.atexit, "register", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return ended.value.code, said.out + said.err


def test_a_home_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_only(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Path, "mkdir", read_only)
    code, said = told(monkeypatch, capsys, "run", "--recipe", "world/demo")
    assert code == 1
    assert f"{tmp_path / 'home' / 'bentoml'} cannot be written or read: Read-only file system." in said
    assert "COUNTERPOINT_HOME" in said


@pytest.fixture
def server_starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[..., None]], None]]:
    """Puts something in the place of what starts Prefect's server; handlers of signals are put back.

    Ctrl-C is listened to, which a shell's background jobs do not inherit.
    """
    before = signal.getsignal(signal.SIGTERM)
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    name = "prefect.client.orchestration"
    yield lambda start: monkeypatch.setitem(sys.modules, name, SimpleNamespace(get_client=start))
    signal.signal(signal.SIGTERM, before)
    signal.signal(signal.SIGINT, interrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_run_is_told_that_nothing_is_lost(
    number: signal.Signals,
    server_starts: Callable[[Callable[..., None]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped() -> None:
        start_server()
        signal.raise_signal(number)

    server_starts(lambda **_: None)
    monkeypatch.setattr(demo, "run_demo", stopped)
    code, said = told(monkeypatch, capsys, "demo")
    assert code == 128 + number
    assert "Stopped. What was received is kept; the same command goes on from here." in said


def test_ctrl_c_does_not_reach_the_server_that_is_told_of_the_end(
    server_starts: Callable[[Callable[..., None]], None],
) -> None:
    masks = []

    def start(**_: object) -> None:
        script = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        masks.append(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)

    server_starts(start)
    start_server()
    assert masks == ["True\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_server_that_does_not_start_is_told(server_starts: Callable[[Callable[..., None]], None]) -> None:
    def too_late(**_: object) -> None:
        raise RuntimeError("Timed out while attempting to connect.")

    server_starts(too_late)
    with pytest.raises(StoreError, match=r"did not start: Timed out while attempting to connect\.\n"):
        start_server()


def test_who_comes_second_is_told_that_another_run_is_at_work(own_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = workspace.Workspace.open()
    inside = threading.Event()

    def enter() -> None:
        with home.alone():
            inside.set()

    with home.alone():
        second = threading.Thread(target=enter)
        second.start()
        while not caplog.records:
            time.sleep(0.01)
        assert not inside.is_set()
    second.join(10)
    assert inside.is_set()
    assert caplog.messages == [f"Another run works in {own_home}; this one waits until it is done."]


@pytest.mark.parametrize(("no_color", "is_red"), [("", True), ("1", False)])
def test_errors_are_red_on_a_terminal_unless_no_color_is_set(
    no_color: str, is_red: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    cli._say_failed("Wrong.")
    assert ("\x1b[" in terminal.getvalue()) is is_red
    assert "Wrong." in terminal.getvalue()


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "gone")

    monkeypatch.setattr(cli, "app", fault)
    with pytest.raises(FileNotFoundError):
        cli.main()


def test_a_full_disk_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path)})
    monkeypatch.setattr(workspace, "LEAST_FREE_MB", 10**12)
    with pytest.raises(StoreError, match=r"MB free\.\nA run needs at least"):
        workspace.require_room(settings)


@pytest.mark.parametrize("command", ["recommend c1", "card", "rollback"])
def test_who_only_looks_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("COUNTERPOINT_HOME", str(home))
    code, said = told(monkeypatch, capsys, *command.split())
    assert code == 1
    assert "`counterpoint run`" in said
    assert not home.exists()


def test_a_wrong_column_is_told_before_the_libraries_of_a_flow_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("product_id,title\np1,Tea\n")
    (tmp_path / "i.csv").write_text("consumer_id,product_id,timestamp,points\nc1,p1,1700000000,5\n")
    files = ["--interactions", str(tmp_path / "i.csv"), "--catalog", str(tmp_path / "p.csv")]
    script = (
        "import sys\n"
        "from counterpoint.cli import main\n"
        f"sys.argv[1:] = {['run', *files]!r}\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    print(ended.code, {'prefect', 'torch', 'feast'} & sys.modules.keys())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "i.csv has no column for rating" in ended.stderr
    assert ended.stdout == "2 set()\n"


def test_progress_is_let_through_where_no_terminal_shows_it(tmp_path: Path) -> None:
    settings = HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path)})
    workspace.prepare_environment(settings, make_folders=False)
    assert workspace.logger.isEnabledFor(logging.INFO)


@pytest.mark.parametrize(("consumer_id", "k", "found"), [("c1", 0, "k is 0"), ("", 5, "consumer_id is ''")])
def test_what_the_service_would_not_take_is_refused_here_too(consumer_id: str, k: int, found: str) -> None:
    with pytest.raises(InputError, match=found):
        recommend_here(consumer_id, k)
