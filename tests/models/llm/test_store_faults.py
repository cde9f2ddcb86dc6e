"""A store that is damaged, read-only, full or gone stops generation naming the cause; what it held stays intact."""

from __future__ import annotations

import resource
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.proofs.damage import damage_files
from features.errors import StoreError
from features.ledger import Ledger
from features.types import Slot, TextRequest
from models.llm.generate import generate
from models.llm.scripted import SCRIPTED, ScriptedEngine, continue_openings

N_KNOWN = 40
REQUESTS = [TextRequest("facets", f"c{i}", "S", f"P{i} {'x' * 400}", (Slot("Likes"),), SCRIPTED) for i in range(160)]
KNOWN, FRESH = REQUESTS[:N_KNOWN], REQUESTS[N_KNOWN:]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a closed ledger that holds the answers to KNOWN."""
    path = tmp_path_factory.mktemp("known") / "ledger.sqlite"
    with Ledger(f"sqlite:///{path}") as ledger:
        generate(KNOWN, ScriptedEngine(), ledger)
    assert [file.name for file in path.parent.iterdir()] == [path.name], "closed, all of it is in the one file"
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    """A copy of that file."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_stops_the_run_before_anything_is_bought(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    engine = ScriptedEngine()
    with Ledger(f"sqlite:///{path}") as ledger, pytest.raises(StoreError, match=r"malformed|damaged|not a db|empty"):
        generate(REQUESTS, engine, ledger)
    assert engine.seen == []


def test_damaged_files_are_found_out_or_do_no_harm(tmp_path: Path) -> None:
    figures = damage_files(tmp_path, n_files=20)
    assert figures.kept, figures
    assert figures.stopped, "some damage must have been met"


def test_a_read_only_file_stops_the_run(path: Path) -> None:
    engine = ScriptedEngine()
    with (
        Ledger(f"sqlite:///file:{path}?mode=ro&uri=true") as ledger,
        pytest.raises(StoreError, match="readonly database"),
    ):
        generate(REQUESTS, engine, ledger)
    assert engine.seen == []


@contextmanager
def few_pages(path: Path) -> Iterator[None]:
    """As if the disk had room for a few more pages only."""
    n_pages = path.stat().st_size // 4096 + 12

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={n_pages}")

    sa.event.listen(sa.Engine, "connect", limit)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", limit)


@contextmanager
def small_files(path: Path) -> Iterator[None]:
    """As if no file could grow beyond some 100 kB: also the write-ahead log stops in the middle of a transaction."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("full", "cause"), [(few_pages, "database or disk is full"), (small_files, "disk I/O error")], ids=["full", "quota"]
)
def test_a_full_disk_stops_the_run_and_keeps_what_was_recorded(
    path: Path, full: Callable[[Path], AbstractContextManager[None]], cause: str
) -> None:
    engine = ScriptedEngine()
    with full(path), Ledger(f"sqlite:///{path}") as ledger, pytest.raises(StoreError, match=cause):
        generate(REQUESTS, engine, ledger)
    again = ScriptedEngine()
    with Ledger(f"sqlite:///{path}") as ledger:
        report = generate(REQUESTS, again, ledger)
    assert 1 < len(engine.seen) < len(FRESH), "it stopped on the way"
    assert len(engine.seen) + len(again.seen) == len(FRESH) + 1, "only the answer without room is bought again"
    assert len(report.completions) == len(REQUESTS)


class Wire(socketserver.ThreadingTCPServer):
    """Carries connections to a server until it is cut."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.far_end, self.ends = (host, port), list[socket.socket]()

    def cut(self) -> None:
        """From now on it is as if the server were gone."""
        self.shutdown()
        self.server_close()
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Relay(socketserver.BaseRequestHandler):
    server: Wire

    def handle(self) -> None:
        with socket.create_connection(self.server.far_end) as far:
            self.server.ends += [self.request, far]
            threading.Thread(target=_carry, args=(far, self.request), daemon=True).start()
            _carry(self.request, far)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.mark.postgres
def test_a_server_that_goes_away_stops_the_run_and_keeps_what_was_recorded(postgres_url: str) -> None:
    url = sa.make_url(postgres_url)
    wire = Wire(url.host or "127.0.0.1", url.port or 5432)
    threading.Thread(target=wire.serve_forever, args=(0.01,), daemon=True).start()

    def cut_at_c20(request: TextRequest) -> Sequence[str]:
        if request.subject == "c20":
            wire.cut()
        return continue_openings(request)

    far = url.set(host="127.0.0.1", port=wire.server_address[1]).render_as_string(hide_password=False)
    with Ledger(far) as ledger, pytest.raises(StoreError, match="Could not write to the ledger"):
        generate(KNOWN, ScriptedEngine(cut_at_c20), ledger)
    again = ScriptedEngine()
    with Ledger(postgres_url) as ledger:
        report = generate(KNOWN, again, ledger)
    assert (report.from_ledger, len(again.seen), len(report.completions)) == (20, N_KNOWN - 20, N_KNOWN)
