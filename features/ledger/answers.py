"""What callers see of the ledger: open it, find answers, start a run that buys, read the accounts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from features.ledger.database import Database
from features.ledger.rows import to_completion
from features.ledger.runs import BEAT_SECONDS, STILL_SECONDS, Run, chunks
from features.types import Completion, FinishReason, ModelIdentity, TextRequest


@dataclass(frozen=True)
class KindSummary:
    """The accounts of one kind of request, as far as its answers were not forgotten."""

    kind: str
    answers: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True)
class PastUse:
    """What the usable answers of one kind took, beside the length of what was asked: the rate of an estimate."""

    answers: int
    characters: int
    """Of the canonical requests."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True)
class FailureCount:
    """How often answers could not be used for one cause."""

    finish: FinishReason
    cause: str
    answers: int


@dataclass(frozen=True)
class LedgerSummary:
    """What was asked and bought so far; seconds are of the model, summed over answers.

    Every answer that was ever bought counts, also one that could not be used or was forgotten later.
    """

    runs: int
    asked: int
    from_ledger: int
    answers: int
    failed: int
    usable: int
    """Answers that can be served now."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    kinds: tuple[KindSummary, ...]
    failures: tuple[FailureCount, ...]
    """By cause, the commonest first."""

    @property
    def hit_rate(self) -> float:
        """The share of all requests that the ledger could answer."""
        return self.from_ledger / self.asked if self.asked else 0.0


@dataclass(frozen=True)
class Failure:
    """An answer that cannot be used, and why."""

    request_key: str
    kind: str
    subject: str
    finish: FinishReason
    note: str
    lines: tuple[str, ...]


class Ledger:
    """Remembers answers; opened at the first use, made by the first answer, and closed by `with` or `close`.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql+psycopg://user@host/database`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = Database(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections; a later use opens them again."""
        self._database.close()

    def run(self, beat_seconds: float = BEAT_SECONDS, still_seconds: float = STILL_SECONDS) -> Run:
        """A new run, to be entered by `with`: the one who reserves, records and is metered.

        Args:
            beat_seconds: how often it tells others that it lives.
            still_seconds: after which it takes another machine's run that does not for dead.
        """
        return Run(self._database, beat_seconds, still_seconds)

    def record(self, request: TextRequest, completion: Completion) -> None:
        """Commits a single answer, as a run of its own. Raises StoreError."""
        with self.run() as run:
            run.record(request, completion)

    def find(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The usable answers under those keys. Raises StoreError naming the key of a damaged one."""
        table = self._database.answers
        found: dict[str, Completion] = {}
        with self._database.begin("read") as connection:
            for chunk in chunks(keys):
                for row in connection.execute(table.select().where(table.c.request_key.in_(chunk))).mappings():
                    found[row["request_key"]] = to_completion(dict(row), self._database.shown)
        return found

    def failed(self, keys: Iterable[str], after: int = 0) -> dict[str, FinishReason]:
        """Which of those keys have only answers that cannot be used, and how the last one ended.

        Args:
            keys: of requests.
            after: an earlier `mark()`: what failed up to then does not count.
        """
        import sqlalchemy as sa

        bad, good, found = self._database.unserved, self._database.answers, dict[str, FinishReason]()
        unanswered = sa.not_(sa.exists().where(good.c.request_key == bad.c.request_key))
        query = sa.select(bad.c.request_key, bad.c.finish).where(bad.c.id > after, unanswered).order_by(bad.c.id)
        with self._database.begin("read") as connection:
            for chunk in chunks(keys):
                rows = connection.execute(query.where(bad.c.request_key.in_(chunk)))
                found.update({key: FinishReason(finish) for key, finish in rows})
        return found

    def mark(self) -> int:
        """Stands for what has failed up to now."""
        import sqlalchemy as sa

        with self._database.begin("read") as connection:
            return connection.execute(sa.select(sa.func.max(self._database.unserved.c.id))).scalar_one() or 0

    def failures(self) -> list[Failure]:
        """The answers that cannot be used, oldest first; also those that a later answer made good."""
        table = self._database.unserved
        query = table.select().where(table.c.finish != FinishReason.STOP.value).order_by(table.c.id)
        with self._database.begin("read") as connection:
            rows = connection.execute(query).mappings().all()
        return [self._failure(dict(row)) for row in rows]

    def _failure(self, row: dict[str, Any]) -> Failure:
        answer = to_completion(row, self._database.shown)
        return Failure(row["request_key"], row["kind"], row["subject"], answer.finish, answer.note, answer.lines)

    def summary(self) -> LedgerSummary:
        """What was asked, found and bought so far, by all runs."""
        import sqlalchemy as sa

        runs, good, bad = self._database.runs, self._database.answers, self._database.unserved
        names = ("asked", "from_ledger", "bought", "failed", "prompt_tokens", "completion_tokens", "seconds")
        meter = sa.select(sa.func.count(), *(sa.func.coalesce(sa.func.sum(runs.c[name]), 0) for name in names))
        causes = sa.select(bad.c.finish, bad.c.note, sa.func.count()).group_by(bad.c.finish, bad.c.note)
        with self._database.begin("read") as connection:
            n_runs, asked, from_ledger, bought, failed, *tokens, seconds = connection.execute(meter).one()
            usable = connection.execute(sa.select(sa.func.count()).select_from(good)).scalar_one()
            kinds = connection.execute(self._by_kind()).all()
            failures = connection.execute(causes.where(bad.c.finish != FinishReason.STOP.value)).all()
        return LedgerSummary(
            runs=n_runs,
            asked=int(asked),  # PostgreSQL sums whole numbers as decimals
            from_ledger=int(from_ledger),
            answers=int(bought),
            failed=int(failed),
            usable=usable,
            prompt_tokens=int(tokens[0]),
            completion_tokens=int(tokens[1]),
            seconds=seconds,
            kinds=tuple(
                KindSummary(kind, n, int(prompt), int(completion), spent)
                for kind, n, prompt, completion, spent in kinds
            ),
            failures=_by_cause(failures),
        )

    def _by_kind(self) -> Any:
        import sqlalchemy as sa

        names = ("kind", "prompt_tokens", "completion_tokens", "seconds")
        tables = self._database.answers, self._database.unserved
        bought = sa.union_all(*(sa.select(*(table.c[name] for name in names)) for table in tables)).subquery()
        sums = [sa.func.sum(bought.c[name]) for name in names[1:]]
        return sa.select(bought.c.kind, sa.func.count(), *sums).group_by(bought.c.kind).order_by(bought.c.kind)

    def past_use(self, model: ModelIdentity) -> dict[str, PastUse]:
        """What that model's usable answers took, by kind of request."""
        import sqlalchemy as sa

        table = self._database.answers
        lengths = sa.func.sum(sa.func.length(table.c.request))
        sums = [sa.func.sum(table.c[name]) for name in ("prompt_tokens", "completion_tokens", "seconds")]
        query = sa.select(table.c.kind, sa.func.count(), lengths, *sums).group_by(table.c.kind)
        mine = (table.c.model_name == model.name) & (table.c.model_revision == model.revision)
        with self._database.begin("read") as connection:
            rows = connection.execute(query.where(mine)).all()
        return {
            kind: PastUse(n, int(length), int(prompt), int(completion), float(seconds))
            for kind, n, length, prompt, completion, seconds in rows
        }

    def forget(self, subjects: Sequence[str]) -> int:
        """Deletes all answers about those subjects (a consumer's right); returns how many there were.

        The meter keeps what they cost.
        """
        n = 0
        with self._database.begin("write to") as connection:
            for table in (self._database.answers, self._database.unserved):
                for chunk in chunks(subjects):
                    n += connection.execute(table.delete().where(table.c.subject.in_(chunk))).rowcount
        return n


def _by_cause(rows: Iterable[Sequence[Any]]) -> tuple[FailureCount, ...]:
    """Notes without their details (what follows a colon, and numbers), summed up."""
    counts: Counter[tuple[str, str]] = Counter()
    for finish, note, n in rows:
        counts[finish, re.sub(r"\d+", "N", note.partition(":")[0])[:60].strip()] += n
    return tuple(FailureCount(FinishReason(finish), cause, n) for (finish, cause), n in counts.most_common())
