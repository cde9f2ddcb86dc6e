"""Which product a consumer has next, out of the whole catalogue: experts, and the blend that learned to trust them.

The blend must not learn from scores of experts that knew the answer. So every consumer's last event is taken out, the
experts are fitted on the rest and score it, the blend learns on these lists; then the experts are fitted again on
everything. What is fitted on a training period alone is therefore chosen and judged on what comes after it.

Any further expert (for instance one that asks a rating network or compares facets) may stand beside the standard
ones: it is fitted and asked at the same cuts, so that with and without it can be compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.errors import ReleaseError, SettingError
from models.backbones.blend import Blend, BlendConfig, Lists
from models.backbones.experts import ByPlace, ByTime, Content, Expert, Popularity, Unseen
from models.backbones.histories import Histories, Scores
from models.backbones.neighbours import AlikeConsumers, Ease, Transitions
from models.backbones.sequences.expert import Sequence, SequenceConfig
from models.base import MethodConfig, RunContext

DAY = 86_400.0
EXPERTS = (
    "popularity", "unseen", "near_month", "near_year", "ease", "ease_late", "follows", "next", "session", "minutes",
    "alike", "content", "sequence",
)  # fmt: skip
_WEIGHTS, _CONFIG = "next_product.safetensors", "next_product.json"
_CHUNK = 256


class NextProductConfig(MethodConfig):
    """Which experts there are, and how they and the blend are fitted."""

    experts: tuple[str, ...] = EXPERTS
    ease_l2: float = 50.0
    ease_late_l2: float = 150.0
    n_alike: int = 50
    minutes_scale: float = 30.0
    """Seconds after which events count 1/e as one visit's."""
    rounds: int = 1
    """How many of the last events of each consumer the blend learns from, one fit of the experts each."""
    sequence: SequenceConfig = SequenceConfig()
    blend: BlendConfig = BlendConfig()


@dataclass(frozen=True)
class NextProductReport:
    """What fitting took and reached."""

    seconds: float
    seconds_by_expert: dict[str, float]
    blend_loss: float
    """Cross-entropy of the blend on the lists it learned from, in nats."""
    n_lists: int


def standard_experts(
    config: NextProductConfig, run: RunContext, content: NDArray[np.float32] | None = None
) -> dict[str, Expert]:
    """The experts that the config names, unfitted.

    Args:
        config: names and settings.
        run: seed and device of the sequence model.
        content: text vectors (P, d) of the products; needed by `content`, a start for `sequence`.

    Raises:
        SettingError: an unknown name, or `content` without vectors.
    """
    unknown = set(config.experts) - set(EXPERTS)
    if unknown or ("content" in config.experts and content is None):
        raise SettingError(
            f"The experts {', '.join(config.experts)} cannot be made.",
            f"They are some of {', '.join(EXPERTS)}; content needs text vectors.",
        )
    recent = ByPlace(power=0.5)
    made: dict[str, Expert] = {
        "popularity": Popularity(),
        "unseen": Unseen(),
        "near_month": Popularity(30 * DAY),
        "near_year": Popularity(365 * DAY),
        "ease": Ease(config.ease_l2, recent),
        "ease_late": Ease(config.ease_late_l2, ByPlace(decay=0.9)),
        "follows": Transitions(ByPlace(), ByPlace(power=1.0), window=1, reverse=0.0, power=0.0),
        "next": Transitions(ByPlace(decay=0.7), ByPlace(decay=0.8), window=3),
        "session": Transitions(ByPlace(decay=0.9), ByPlace(decay=0.8), window=20),
        "minutes": Transitions(ByTime(config.minutes_scale), ByTime(config.minutes_scale), window=50, reverse=1.0),
        "alike": AlikeConsumers(recent, config.n_alike),
        "sequence": Sequence(config.sequence, run, content),
    }
    if content is not None:
        made["content"] = Content(content, recent)
    return {name: made[name] for name in config.experts}


class NextProduct:
    """Experts and their blend behind `fit` and `score`."""

    def __init__(self, config: NextProductConfig, experts: Mapping[str, Expert]) -> None:
        self.config, self.experts = config, dict(experts)
        self.blend = Blend(config.blend)

    def fit(self, histories: Histories, run: RunContext) -> NextProductReport:
        """Learns the blend from each consumer's last events, then fits the experts on all events.

        Raises:
            TrainingError: no consumer has two events.
        """
        started, spent = time.monotonic(), dict.fromkeys(self.experts, 0.0)
        lists, seen, targets = [], [], []
        for n in range(1, self.config.rounds + 1):
            earlier, target = histories.without_last(n)
            self._fit_experts(earlier, spent, run)
            known = np.flatnonzero(target >= 0)
            lists.append(self.columns(earlier)[known])
            seen.append(already_had(earlier)[known])
            targets.append(target[known])
        target = np.concatenate(targets)
        loss = self.blend.fit(np.concatenate(lists), np.concatenate(seen), target, run)
        self._fit_experts(histories, spent, run)
        return NextProductReport(time.monotonic() - started, spent, loss, len(target))

    def score(self, histories: Histories) -> Scores:
        """(U, P): higher is likelier next; -inf for what the consumer already has."""
        parts = []
        for first in range(0, len(histories), _CHUNK):
            some = histories.rows(first, min(first + _CHUNK, len(histories)))
            parts.append(self.blend.score(self.columns(some), already_had(some)))
        return np.concatenate(parts)

    def columns(self, histories: Histories) -> Lists:
        """What each expert says: (U, P, C) in the order of `experts`."""
        return np.stack([expert.score(histories) for expert in self.experts.values()], axis=2)

    def save(self, folder: Path) -> None:
        """Writes weights (safetensors) and config (JSON) into an existing folder."""
        from safetensors.numpy import save_file

        arrays = {
            f"{name}/{part}": array for name, expert in self.experts.items() for part, array in expert.arrays().items()
        }
        arrays |= {f"blend/{part}": array for part, array in self.blend.arrays().items()}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _WEIGHTS)
        (folder / _CONFIG).write_text(self.config.model_dump_json(indent=2))

    @classmethod
    def load(cls, folder: Path, run: RunContext, further: Mapping[str, Expert] | None = None) -> Self:
        """Reads what `save` wrote; `further` are the experts beside the standard ones, as they were given.

        Raises:
            ReleaseError: it is missing, damaged or does not fit.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            config = NextProductConfig.model_validate(json.loads((folder / _CONFIG).read_text()))
            arrays = load_file(folder / _WEIGHTS)
            content = np.asarray(arrays["content/vectors"], np.float32) if "content" in config.experts else None
            made = cls(config, standard_experts(config, run, content) | dict(further or {}))
            for name, expert in made.experts.items():
                expert.restore(_part(arrays, name))
            made.blend.restore(_part(arrays, "blend"))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ReleaseError(
                f"The ranker in {folder} cannot be loaded: {error}.", remedy="Fit and save it again."
            ) from error
        return made

    def _fit_experts(self, histories: Histories, spent: dict[str, float], run: RunContext) -> None:
        """Fits all experts and adds up their seconds."""
        for number, (name, expert) in enumerate(self.experts.items()):
            started = time.monotonic()
            expert.fit(histories)
            spent[name] += time.monotonic() - started
            run.progress("experts", number + 1, len(self.experts))


def already_had(histories: Histories) -> NDArray[np.bool_]:
    """(U, P): what each consumer has had."""
    return np.asarray(histories.matrix().toarray() > 0)


def _part(arrays: Mapping[str, NDArray[np.generic]], name: str) -> dict[str, NDArray[np.generic]]:
    """The arrays of one part, by their own names."""
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
