"""Facets in a request's own words: they rank and argue as stored ones do, and nothing keeps them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from features.batch import CODE_WIDTH
from features.errors import InputError
from features.types import ModelIdentity
from models.base import Progress, silent
from models.explanations.own_words import OwnWords
from models.explanations.what_if import OWN_WORDS
from models.release import ReleaseTexts
from services.audit import Audit
from services.explain import Reasons
from services.runtime import Runtime
from services.schemas import ExplainRequest, RecommendRequest, RecommendResponse
from tests.services.conftest import FakeFeatures, FakeModel
from tests.services.test_steps import Attending

WORDS = "My very own words."
IDENTITY = ModelIdentity("mini", "1")
LIKED = {"stance": "for", "text": WORDS}
REWORDED = {"facet_id": "consumer-c1-for-0", "text": WORDS}


class Pointing:
    """Every text points where the texts that speak for p1 point."""

    identity = IDENTITY

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        return np.tile(np.array([[0.6, 0.8]], np.float32), (len(texts), 1))


class Sevens:
    """Every code is 7."""

    content_hash = "sevens"

    def codes(self, vectors: np.ndarray) -> np.ndarray:
        return np.full((len(vectors), CODE_WIDTH), 7, np.float32)


@pytest.fixture
def own(texts: ReleaseTexts) -> Reasons:
    return Reasons(texts, own_words=OwnWords(Pointing(), IDENTITY, Sevens()))


@pytest.fixture
def speaking(
    make_runtime: Callable[..., Runtime], features: FakeFeatures, model: FakeModel, own: Reasons, inbox: Any
) -> Runtime:
    return make_runtime(features, model, own, inbox)


def ask(runtime: Runtime, consumer: str | None = "c1", **wishes: Any) -> RecommendResponse:
    return runtime.recommend(
        RecommendRequest.model_validate({"consumer_id": consumer, "exclude_seen": False, **wishes})
    )


def reason(answer: RecommendResponse, product: str) -> Any:
    return {it.product_id: it for it in answer.items}[product].reasons[0]


@pytest.mark.parametrize("wish", [{"facets": [REWORDED]}, {"new_facets": [LIKED]}], ids=["reworded", "new"])
def test_the_model_sees_the_code_of_the_words(speaking: Runtime, model: FakeModel, wish: dict[str, Any]) -> None:
    ask(speaking, **wish)
    seen = model.batches[-1].consumers.facet_codes
    place = 0 if "facets" in wish else 1
    assert seen.table[seen.index[0]][0, place].tolist() == [7] * CODE_WIDTH


def test_words_argue_where_the_product_says_the_like_and_are_marked_as_own(speaking: Runtime) -> None:
    said = reason(ask(speaking, facets=[REWORDED]), "p1")
    assert said.text == f"{WORDS} p1 for 0"
    assert said.model == f"{OWN_WORDS}+smol"
    assert said.fact_ids == ("f1",)  # the product's; the words rest on none
    assert WORDS not in reason(ask(speaking), "p1").text


def test_texts_written_for_the_pair_do_not_count_beside_own_words(speaking: Runtime) -> None:
    assert reason(ask(speaking), "p2").granularity == "pair"
    assert reason(ask(speaking, new_facets=[LIKED]), "p2").granularity != "pair"


def test_a_stranger_who_says_what_they_like_is_no_newcomer(speaking: Runtime) -> None:
    assert ask(speaking, "stranger").cold
    answer = ask(speaking, "stranger", new_facets=[LIKED])
    assert not answer.cold
    assert WORDS in reason(answer, "p1").text
    assert not ask(speaking, None, new_facets=[LIKED]).degraded


def test_one_pair_is_explained_on_the_same_words(
    make_runtime: Callable[..., Runtime], features: FakeFeatures, own: Reasons, inbox: Any
) -> None:
    runtime = make_runtime(features, Attending(), own, inbox)
    lighter = {"facet_id": "consumer-c1-for-0", "weight": 0.5}
    request = {"consumer_id": "c1", "product_id": "p1", "facets": [lighter], "new_facets": [LIKED]}
    answer = runtime.explain(ExplainRequest.model_validate(request))
    assert answer.steps is not None
    assert [(it.text, it.weight) for it in answer.steps.preferences] == [(WORDS, 0.625), ("c1 for 0", 0.25)]
    assert WORDS in answer.reasons[0].text


def test_a_release_without_an_encoder_refuses_words_and_takes_weights(runtime: Runtime) -> None:
    with pytest.raises(InputError, match="Own words cannot be coded"):
        ask(runtime, facets=[REWORDED])
    assert not ask(runtime, facets=[{"facet_id": "consumer-c1-for-0", "weight": 0.5}]).degraded


def test_words_are_not_recorded_and_not_logged(
    speaking: Runtime, tmp_path: Path, caplog: pytest.LogCaptureFixture, features: FakeFeatures
) -> None:
    caplog.set_level(logging.DEBUG)
    speaking._audit = Audit(tmp_path / "audit", 1.0)
    ask(speaking, facets=[{"facet_id": "consumer-c1-for-0", "weight": 0.5}])
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    ask(speaking, facets=[REWORDED])
    ask(speaking, new_facets=[LIKED])
    with pytest.raises(InputError) as refused:
        ask(speaking, new_facets=[LIKED] * 5)
    features.broken = True
    assert ask(speaking, new_facets=[LIKED]).degraded
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    assert WORDS not in caplog.text + str(refused.value)


def test_without_the_store_the_ranking_is_poorer_and_the_reasons_still_know_the_words(
    speaking: Runtime, features: FakeFeatures, model: FakeModel
) -> None:
    features.broken = True
    answer = ask(speaking, facets=[REWORDED])
    assert model.batches[-1].consumers.facet_codes.index[0] == -1
    assert WORDS in reason(answer, "p1").text


@pytest.mark.parametrize("wish", [{"facets": [REWORDED]}, {"new_facets": [LIKED]}])
def test_a_model_that_knows_the_stored_facets_words_no_others(wish: dict[str, Any]) -> None:
    for request, about in ((RecommendRequest, {}), (ExplainRequest, {"product_id": "p1"})):
        with pytest.raises(ValidationError, match="live explanations rest on the stored facets"):
            request.model_validate({"consumer_id": "c1", "explanations": "live", **about, **wish})
