"""A recorded answer is made again byte for byte, whatever happened since; what was tampered with is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import InputError, SettingError, StoreError
from features.settings import HostSettings
from services.audit import Audit, Record
from services.replay import replay
from services.runtime import Runtime
from services.schemas import FeedbackRequest, RecommendRequest

WISHES: dict[str, Any] = {
    "k": 4,
    "filter": {"op": "eq", "attribute": "parity", "value": "even"},
    "boosts": [{"product_ids": ["p12"], "by": 0.3}],
    "pins": [{"product_ids": ["p18"], "rank": 2}],
    "diversity": {"lambda": 0.5},
    "contributions": True,
}


@pytest.fixture(scope="module")
def settings(tiny_release: HostSettings, tmp_path_factory: pytest.TempPathFactory) -> HostSettings:
    """The tiny release's home, with every answer recorded."""
    return replace(tiny_release, audit_share=1.0)


@pytest.fixture(scope="module")
def recording(settings: HostSettings, artifact_folder: Path) -> Runtime:
    return Runtime.open(settings, artifact_folder)


def recorded(runtime: Runtime, settings: HostSettings, consumer_id: str | None, **wishes: Any) -> Record:
    answer = runtime.recommend(RecommendRequest(consumer_id=consumer_id, **wishes))
    assert not answer.degraded
    return Audit(settings.audit, 0.0).read(answer.recommendation_id)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("consumer_id", "wishes"),
    [("c5", {}), ("c6", WISHES), ("recorded stranger", {"k": 20}), (None, {"explanations": "none"})],
)
def test_an_answer_is_made_again_byte_for_byte(
    recording: Runtime, settings: HostSettings, artifact_folder: Path, consumer_id: str | None, wishes: dict[str, Any]
) -> None:
    record = recorded(recording, settings, consumer_id, **wishes)
    if consumer_id:  # what is known of the consumer now is another thing than then
        rating = FeedbackRequest(feedback_id=consumer_id, consumer_id=consumer_id, product_id="p19", rating=1)
        recording.feedback(rating)
    replayed = replay(settings, artifact_folder, record)
    assert (replayed.identical, replayed.differs) == (True, ())
    assert replayed.release_id == recording.release.release_id


@pytest.mark.slow
def test_an_answer_that_the_rows_do_not_give_is_found_out(
    recording: Runtime, settings: HostSettings, artifact_folder: Path
) -> None:
    record = recorded(recording, settings, "c1")
    numeric = record.batch.products.numeric + 1
    changed = replace(record, batch=replace(record.batch, products=replace(record.batch.products, numeric=numeric)))
    replayed = replay(settings, artifact_folder, changed)
    assert (replayed.identical, replayed.differs) == (False, ("items",))


@pytest.fixture
def kept(runtime: Runtime, tmp_path: Path) -> Audit:
    """Records every answer of the runtime on fakes."""
    runtime._audit = Audit(tmp_path / "audit", 1.0)
    return runtime._audit


def test_a_record_comes_back_as_it_was_kept(runtime: Runtime, kept: Audit) -> None:
    request = RecommendRequest(consumer_id="c1", k=2)
    answer = runtime.recommend(request)
    record = kept.read(answer.recommendation_id)
    assert (record.request, record.answer) == (request, answer)
    assert record.batch.products.product_ids.tolist() == ["p2", "p3"]
    np.testing.assert_array_equal(record.batch.consumers.history_ids[:, 0], ["p1", "p1"])


def test_records_of_a_forgotten_consumer_are_gone_and_those_of_others_stay(runtime: Runtime, kept: Audit) -> None:
    mine, other = (runtime.recommend(RecommendRequest(consumer_id=it)).recommendation_id for it in ("c1", "c2"))
    runtime.forget("c1")
    with pytest.raises(InputError, match="There is no record"):
        kept.read(mine)
    assert kept.read(other).request.consumer_id == "c2"


def test_as_many_answers_are_recorded_as_was_set_and_poor_ones_never(
    runtime: Runtime, features: Any, tmp_path: Path
) -> None:
    draws = iter([0.2, 0.3, 0.1])
    runtime._audit = Audit(tmp_path, 0.3, lambda: next(draws))
    for _ in range(3):
        runtime.recommend(RecommendRequest(consumer_id="c2"))
    features.broken = True
    runtime.recommend(RecommendRequest(consumer_id="c2"))
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2


def test_an_answer_is_given_though_it_cannot_be_recorded(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runtime._audit = Audit(tmp_path / "file", 1.0)
    assert len(runtime.recommend(RecommendRequest(consumer_id="c1")).items) == 2


def test_a_damaged_record_is_named(runtime: Runtime, kept: Audit, tmp_path: Path) -> None:
    answer = runtime.recommend(RecommendRequest(consumer_id="c1"))
    next(tmp_path.glob("audit/*/*.safetensors")).write_bytes(b"nothing")
    with pytest.raises(StoreError, match="is damaged"):
        kept.read(answer.recommendation_id)


@pytest.mark.parametrize("share", ["2", "-1", "many"])
def test_a_share_is_between_0_and_1(share: str) -> None:
    with pytest.raises(SettingError, match="COUNTERPOINT_AUDIT"):
        HostSettings.from_environment({"COUNTERPOINT_AUDIT": share})
