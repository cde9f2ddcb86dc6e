"""The stricter check: a claim must follow from its facts in the eyes of a model that a recipe may name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from features.errors import GenerationError, SettingError
from features.types import Completion, FinishReason, ModelIdentity, ShownFact, Slot, Stance, TextRequest, claims_of
from models.explanations.entailment import (
    EntailmentConfig,
    EntailmentModel,
    Judge,
    claims_with_premises,
    label_place,
    open_judge,
)

LABELS = {0: "contradiction", 1: "neutral", 2: "ENTAILMENT"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights: it judges nothing, but it loads, batches and has the labels."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("nli")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "rated", "war", "movies", "you"]))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=8, id2label=LABELS, num_labels=3, **sizes))
    torch.nn.init.normal_(model.classifier.weight, std=3.0)
    model.save_pretrained(folder)
    return folder


def test_a_local_folder_scores_offline_whatever_the_batches(folder: Path) -> None:
    premises = ["rated war movies", "you rated", "movies", "war war war movies you rated you"]
    claims = ["you rated war", "movies", "rated you movies", "war"]
    one, many = (
        EntailmentModel(EntailmentConfig(model=str(folder), batch_size=size))(premises, claims) for size in (1, 3)
    )
    assert one == pytest.approx(many, abs=1e-5)
    assert len(set(one)) > 1
    assert all(0 < score < 1 for score in one)


def test_the_output_is_found_by_its_label() -> None:
    assert label_place(LABELS, "nli") == 2
    with pytest.raises(SettingError, match="entailment"):
        label_place({0: "good", 1: "bad"}, "sentiment")


def test_nothing_is_judged_or_fetched_unless_asked(tmp_path: Path) -> None:
    assert open_judge(EntailmentConfig()) is None
    with pytest.raises(ValidationError, match="revision"):
        EntailmentConfig(model="somebody/nli")
    missing = EntailmentModel(EntailmentConfig(model="somebody/nli", revision="0" * 40))
    with pytest.raises(GenerationError, match="could not be loaded"):
        missing(["a"], ["b"])


def test_each_claim_is_scored_once_and_in_one_call() -> None:
    calls: list[int] = []

    def score(premises: Sequence[str], hypotheses: Sequence[str]) -> list[float]:
        calls.append(len(premises))
        return [0.9 if "war" in hypothesis else 0.1 for hypothesis in hypotheses]

    judge = Judge(score, 0.5)
    judge.prepare([("fact", "war"), ("fact", "peace"), ("fact", "war")])
    assert (judge("fact", "war"), judge("fact", "peace")) == (True, False)
    assert calls == [2]


def test_a_claim_is_judged_by_the_facts_it_cites() -> None:
    slots = (Slot("You", stance=Stance.FOR, cites=("F2",)),)
    shown = (ShownFact("F1", "one"), ShownFact("F2", "two"))
    request = TextRequest("k", "s", "system", "", slots, ModelIdentity("m", "1"), facts=shown)
    answer = Completion(request.key, claims_of(slots, ["You like it."]), FinishReason.STOP, 1, 1, 0.0, request.model)
    assert list(claims_with_premises([request], {request.key: answer})) == [("two", "You like it.")]
