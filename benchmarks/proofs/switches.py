"""The live release changes again and again while requests come: no answer may be made of two."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.good_requests import Good, good_bodies
from benchmarks.proofs import Proof
from benchmarks.small_home import small_home
from counterpoint.server import running_service
from features.settings import HostSettings
from models.release import ReleaseStore

N_SWITCHES = 40
SECONDS = 1.1
"""Between two switches; the service looks every two seconds, and must not find the same one each time."""
RATE = 4.0
MARK = " (of the second release)"


def prove(n_switches: int = N_SWITCHES) -> Proof:
    """Makes a release of the built-in world, and a second one that differs in every title."""
    with tempfile.TemporaryDirectory() as folder:
        came = switch(small_home(Path(folder)), n_switches)
    kept = not (came.n_mixed or came.n_failed) and came.n_releases > 1
    return Proof("changing releases give no mixed answer and no failed one", kept, asdict(came))


@dataclass(frozen=True)
class Switches:
    """What was answered while the live release changed every second."""

    n_answers: int
    n_failed: int
    n_mixed: int
    """Answers whose titles are not those of the release they name."""
    n_releases: int
    """How many releases answered."""


def switch(settings: HostSettings, n_switches: int) -> Switches:
    """Two releases that differ in every title take turns."""
    store = ReleaseStore(settings.releases)
    first = store.live()
    assert first is not None
    second = first.model_copy(update={"release_id": f"{first.release_id}-b"})
    texts = store.read_texts(first)
    titles = texts.products["title"].astype(str) + MARK
    store.publish(second, type(texts)(texts.products.assign(title=titles), texts.facets, texts.facts, texts.pair_texts))

    def take_turns() -> None:
        for n in range(n_switches):
            time.sleep(SECONDS)
            store.promote((second, first)[n % 2].release_id)

    with running_service(settings, settings.home / "switched.log") as url:
        good = Good(url, good_bodies(settings), RATE).during(take_turns)
    store.promote(first.release_id)
    answers = [it.answer for it in good.served if it.answer is not None]
    marked = [{item["title"].endswith(MARK) for item in answer["items"]} for answer in answers]
    expected = [{answer["release_id"] == second.release_id} for answer in answers]
    return Switches(
        n_answers=len(answers),
        n_failed=good.n_failed,
        n_mixed=sum(found != wanted for found, wanted in zip(marked, expected, strict=True)),
        n_releases=len({answer["release_id"] for answer in answers}),
    )
