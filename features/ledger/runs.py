"""A run: the one who writes. It reserves keys before they are bought, records answers and keeps the meter.

Two runs side by side buy nothing twice: a key is bought only by the run that holds its reservation, which goes in the
same transaction in which its answer comes. A run that was killed leaves its reservations behind; others free them
once it is dead. A process of the same machine that is gone is dead at once. For other machines no clocks are compared:
a run beats every `BEAT_SECONDS`, and one whose beat stood still for `STILL_SECONDS`, as watched by the one who waits,
is taken for dead.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from features.errors import StoreError
from features.ledger.database import Database
from features.ledger.rows import now, to_row
from features.types import Completion, FinishReason, TextRequest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

BEAT_SECONDS, STILL_SECONDS = 10.0, 60.0
CHUNK = 500
"""Keys per statement: below SQLite's limit of bound values on any build."""
_going: set[str] = set()
"""The runs of this process: one that could not say that it ended (the disk was full) is not waited for."""


class Run:
    """One call that buys; any number may go on side by side. Made by `Ledger.run()` and entered by `with`.

    Args:
        database: of the ledger.
        beat_seconds, still_seconds: see `Ledger.run`.
    """

    def __init__(self, database: Database, beat_seconds: float, still_seconds: float) -> None:
        self.run_id = uuid.uuid4().hex
        self._database, self._beat_seconds, self._still_seconds = database, beat_seconds, still_seconds
        self._watched: dict[str, tuple[int, float]] = {}
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="ledger", daemon=True)

    def __enter__(self) -> Self:
        self._database.check()
        _going.add(self.run_id)
        row = {"run_id": self.run_id, "owner": process_name(), "started_at": now()}
        with self._database.begin("write to") as connection:
            connection.execute(self._database.runs.insert().values(row))
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heart.join()
        _going.discard(self.run_id)
        try:
            self._end(self.run_id)
        except StoreError:
            if error is None:  # else the error that stopped the run says more
                raise

    def account(self, asked: int = 0, from_ledger: int = 0, known_failures: int = 0) -> None:
        """Adds to the meter: requests that were asked for, those the ledger could answer, those known to fail."""
        with self._database.begin("write to") as connection:
            self._add(connection, {"asked": asked, "from_ledger": from_ledger, "known_failures": known_failures})

    def reserve(self, keys: Iterable[str]) -> set[str]:
        """Takes what nobody holds; the keys that are now this run's to buy.

        Look for answers after this, not only before: another run may have recorded one and let go of its key.
        """
        table, mine = self._database.reservations, set[str]()
        for chunk in chunks(sorted(set(keys))):  # in order, so that two runs never wait for each other's rows
            rows = [{"request_key": key, "run_id": self.run_id} for key in chunk]
            insert = self._database.insert(table).values(rows).on_conflict_do_nothing()
            with self._database.begin("write to") as connection:
                mine.update(connection.execute(insert.returning(table.c.request_key)).scalars())
        return mine

    def record(self, request: TextRequest, completion: Completion) -> None:
        """Commits one answer and what it cost, and lets go of its key.

        The first usable answer under a key stays; whatever else comes is kept apart. Raises StoreError, also when
        others took this run for dead: the answer is recorded then, but its other keys may be bought by them.
        """
        if completion.request_key != request.key:
            raise StoreError(
                f"The answer belongs to request {completion.request_key}, not to {request.key}.",
                remedy="Report this: an engine mixed up its answers. Nothing was recorded.",
            )
        cost = {
            "bought": 1,
            "failed": int(completion.finish is not FinishReason.STOP),
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "seconds": completion.seconds,
        }
        held = self._database.reservations
        mine = held.delete().where(held.c.request_key == request.key, held.c.run_id == self.run_id)
        with self._database.begin("write to") as connection:
            alive = self._add(
                connection, cost
            )  # before its reservations, as in `_end`, so that neither waits in a ring
            self._keep(connection, to_row(request, completion, self.run_id))
            connection.execute(mine)
        if not alive:
            raise StoreError(
                f"This run stood still for more than {self._still_seconds:.0f} s and was taken for dead.",
                remedy="Run it again: all answers received so far are in the ledger.",
            )

    def free_the_dead(self) -> None:
        """Lets go of the keys of runs that will not come back."""
        import sqlalchemy as sa

        table = self._database.runs
        going = sa.select(table.c.run_id, table.c.owner, table.c.beat).where(table.c.ended_at.is_(None))
        with self._database.begin("read") as connection:
            runs = connection.execute(going.where(table.c.run_id != self.run_id)).all()
        for run in runs:
            if self._is_dead(run):
                self._end(run.run_id)

    def _is_dead(self, run: Row[Any]) -> bool:
        if run.owner == process_name():
            return run.run_id not in _going
        beat, since = self._watched.get(run.run_id, (None, 0.0))
        if beat != run.beat:
            beat, since = self._watched[run.run_id] = (run.beat, time.monotonic())
        return is_gone(run.owner) or time.monotonic() - since > self._still_seconds

    def _keep(self, connection: Connection, row: dict[str, Any]) -> None:
        table, kept = self._database.answers, False
        if row["finish"] == FinishReason.STOP.value:
            insert = self._database.insert(table).on_conflict_do_nothing().returning(table.c.request_key)
            kept = connection.execute(insert, row).first() is not None
        if not kept:
            connection.execute(self._database.unserved.insert(), row)

    def _add(self, connection: Connection, counts: dict[str, Any]) -> bool:
        """Adds to the meter; whether this run still counts as alive."""
        table = self._database.runs
        added = {name: table.c[name] + count for name, count in counts.items()}
        update = table.update().where(table.c.run_id == self.run_id).values(added)
        return connection.execute(update.returning(table.c.ended_at)).scalar_one() is None

    def _end(self, run_id: str) -> None:
        """Ends a run; whoever comes second finds it ended and does nothing."""
        runs, held = self._database.runs, self._database.reservations
        end = runs.update().where(runs.c.run_id == run_id, runs.c.ended_at.is_(None)).values(ended_at=now())
        with self._database.begin("write to") as connection:
            if connection.execute(end).rowcount:
                connection.execute(held.delete().where(held.c.run_id == run_id))

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            with suppress(StoreError), self._database.begin("write to") as connection:
                self._add(connection, {"beat": 1})  # what is wrong with the store is said where an answer is recorded


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """The distinct values in their order, at most `CHUNK` at a time."""
    distinct = iter(dict.fromkeys(values))
    return iter(lambda: list(islice(distinct, CHUNK)), [])


def process_name() -> str:
    """Names this process for good: machine and its start, space of process numbers, number, start of the process.

    Linux tells all this; elsewhere the name is just unique, and only the beat says whether the process lives.
    """
    return f"{_machine()} {os.getpid()} {_start_of(os.getpid())}" if _machine() else uuid.uuid4().hex


def is_gone(name: str) -> bool:
    """Whether a process of that name was here and is no more. Of other machines nothing is known."""
    machine, _, process = name.partition(" ")
    if not process or machine != _machine():
        return False
    pid, _, start = process.partition(" ")
    return _start_of(int(pid)) != start


def _machine() -> str:
    """Names this machine since its start and the space in which process numbers are unique; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """When a process started, in ticks since the machine did; empty if there is none or it ended (a zombie)."""
    try:
        state, *rest = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state in "ZX" else rest[18]
