"""The stricter check, off by default: a model of natural-language inference says whether a claim follows from facts.

The word-level gates cannot see a claim that uses only the words of its facts and still says something else. Any
sequence-classification model with a label `entailment` can judge that: a folder, or an id on the Hugging Face hub with
its revision pinned. Nothing is downloaded unless the recipe asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.errors import GenerationError, SettingError
from features.types import Completion, TextRequest
from models.explanations.facets import tidy

LABEL = "entailment"


class EntailmentConfig(BaseModel):
    """Which model judges, and from which probability a claim counts as following from its facts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    """A folder, or an id on the Hugging Face hub; empty is no check."""
    revision: str = ""
    """Commit of the hub's model; needed unless `model` is a folder."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    batch_size: int = Field(default=32, ge=1)
    download: bool = False
    """Whether the model may be fetched from the hub; otherwise it must be on this machine."""

    @model_validator(mode="after")
    def _pinned(self) -> EntailmentConfig:
        if self.model and not self.revision and not Path(self.model).is_dir():
            raise ValueError(f"{self.model} is no folder here, so give the revision (a commit) of that hub model")
        return self


class EntailmentScorer(Protocol):
    """Says how probable it is that each hypothesis follows from its premise."""

    def __call__(self, premises: Sequence[str], hypotheses: Sequence[str]) -> list[float]:
        """One probability per pair."""
        ...


class EntailmentModel:
    """A sequence-classification model as scorer; loaded at the first call.

    Raises:
        GenerationError: the model cannot be loaded.
        SettingError: it has no label `entailment`.
    """

    def __init__(self, config: EntailmentConfig) -> None:
        self.config = config

    def __call__(self, premises: Sequence[str], hypotheses: Sequence[str]) -> list[float]:
        """Probabilities, in batches of texts of similar length; order and batch size do not change them."""
        order = sorted(range(len(premises)), key=lambda n: len(premises[n]) + len(hypotheses[n]))
        scores = [0.0] * len(order)
        for start in range(0, len(order), self.config.batch_size):
            places = order[start : start + self.config.batch_size]
            batch = self._probabilities([premises[n] for n in places], [hypotheses[n] for n in places])
            for place, score in zip(places, batch, strict=True):
                scores[place] = score
        return scores

    def _probabilities(self, premises: list[str], hypotheses: list[str]) -> list[float]:
        import torch

        tokenizer, model, label = self._loaded
        inputs = tokenizer(premises, hypotheses, padding=True, truncation="only_first", return_tensors="pt")
        with torch.inference_mode():
            chances = model(**inputs).logits.float().softmax(-1)[:, label]
        return [float(chance) for chance in chances]

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        place = {"revision": self.config.revision or None, "local_files_only": not self.config.download}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.config.model, trust_remote_code=False, **place)
            model = AutoModelForSequenceClassification.from_pretrained(
                self.config.model, trust_remote_code=False, use_safetensors=True, **place
            )
        except (OSError, ValueError) as error:
            raise GenerationError(
                f"The entailment model {self.config.model!r} could not be loaded: {error}.",
                "It is a folder with safetensors, or in the local cache of the hub.",
                "Check explain.entailment in the recipe; `download = true` fetches it.",
            ) from error
        return tokenizer, model.eval(), label_place(model.config.id2label, self.config.model)


def label_place(labels: Mapping[int, str], name: str) -> int:
    """The output that stands for entailment, whatever its case. Raises SettingError if there is none."""
    found = [place for place, label in labels.items() if label.lower() == LABEL]
    if len(found) != 1:
        raise SettingError(
            f"The model {name!r} has the labels {', '.join(labels.values())}.",
            f"One of them must be {LABEL!r}.",
            "Choose a model of natural-language inference.",
        )
    return found[0]


class Judge:
    """Whether claims follow from their facts; each pair of texts is scored once.

    Args:
        score: the model.
        threshold: least probability.
    """

    def __init__(self, score: EntailmentScorer, threshold: float) -> None:
        self._score, self._threshold = score, threshold
        self._known: dict[tuple[str, str], float] = {}

    def __call__(self, premise: str, hypothesis: str) -> bool:
        """Whether a claim follows from its cited facts."""
        self.prepare([(premise, hypothesis)])
        return self._known[premise, hypothesis] >= self._threshold

    def prepare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Scores many pairs at once, so that asking for one of them later costs nothing."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        if new:
            scores = self._score([premise for premise, _ in new], [hypothesis for _, hypothesis in new])
            self._known.update(zip(new, scores, strict=True))


def open_judge(config: EntailmentConfig) -> Judge | None:
    """The judge a recipe asks for, or None."""
    return Judge(EntailmentModel(config), config.threshold) if config.model else None


def claims_with_premises(
    requests: Iterable[TextRequest], completions: Mapping[str, Completion]
) -> Iterator[tuple[str, str]]:
    """What a judge will be asked about these answers."""
    for request in requests:
        shown = {fact.label: fact.text for fact in request.facts}
        answer = completions.get(request.key)
        for slot, claim in zip(request.slots, answer.claims if answer else (), strict=False):
            if claim.text:
                yield "\n".join(shown[label] for label in slot.cites if label in shown), tidy(claim.text)
