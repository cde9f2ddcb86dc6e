"""What a fit of ExplainRec made, as files of an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from features.errors import ReleaseError
from features.types import RatingScale
from features.visuals import VisualTable
from models.backbones.collaborative import Collaborative
from models.backbones.preparation import Preparation
from models.explain_rec.inputs import Shelf
from models.explain_rec.knowledge import KnowledgeBase
from models.explain_rec.network import ExplainNetwork
from models.reasoning.teaching import StudentRecord

RECORD = "explain_rec.json"
"""File of an artifact with what came of the student, tasks and prototypes, and the ids of looks."""
_KNOWLEDGE = "knowledge."


@dataclass(frozen=True)
class Record:
    """What came of a fit, for whoever reads the artifact."""

    student: StudentRecord
    task_cosines: dict[str, float] = field(default_factory=dict)
    """Between the gradients of each two tasks; below 0 they pull apart."""
    n_prototypes: int = 0
    n_hidden: int = 0
    """Rows that were learned as if their consumer, or their product, were unknown."""


class Fit(NamedTuple):
    """Everything that fitting made."""

    preparation: Preparation
    collaborative: Collaborative
    network: ExplainNetwork
    calibration: Tensor  # (2,) scale and shift of the liking logits
    knowledge: KnowledgeBase | None
    visuals: VisualTable | None
    record: Record

    def calibrate(self, logits: Tensor) -> Tensor:
        """Logits of liking whose sigmoid means what it says."""
        return logits * self.calibration[0] + self.calibration[1]


def save_fit(fit: Fit, folder: Path) -> None:
    """Writes weights.safetensors, vocabularies.json, explain_rec.json and what `Collaborative.save` writes."""
    from safetensors.torch import save_file

    weights = {name: value.contiguous() for name, value in fit.network.state_dict().items()}
    weights["calibration"] = fit.calibration
    words: dict[str, Any] = {"record": asdict(fit.record), "knowledge": "", "looks": None}
    if fit.knowledge is not None:
        words["knowledge"] = fit.knowledge.to_json()
        weights |= {f"{_KNOWLEDGE}{name}": torch.from_numpy(it) for name, it in fit.knowledge.arrays.items()}
    if fit.visuals is not None:
        words["looks"], weights["looks"] = fit.visuals.product_ids, torch.from_numpy(fit.visuals.values)
    save_file(weights, folder / "weights.safetensors")
    (folder / RECORD).write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fit.preparation.save(folder)
    fit.collaborative.save(folder)


def load_fit(folder: Path, scale: RatingScale, network_of: Callable[[Preparation, Shelf], ExplainNetwork]) -> Fit:
    """Reads what `save_fit` wrote; `network_of` makes the untrained network. Raises ReleaseError if it does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    preparation, collaborative = Preparation.load(folder, scale), Collaborative.load(folder)
    try:
        weights = load_file(folder / "weights.safetensors")
        words = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        calibration = weights.pop("calibration")
        knowledge, visuals = _knowledge(weights, words), _visuals(weights, words)
        width = weights["shelf.attributes"].shape[1]
        shelf = Shelf(len(preparation.products), width, 0 if visuals is None else visuals.width)
        network = network_of(preparation, shelf).eval()
        network.load_state_dict(weights)
        told = words["record"]
        record = Record(**{**told, "student": StudentRecord(**told["student"])})
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ReleaseError(
            f"The weights in {folder} do not fit the config: {error}.", remedy="Train and save the model again."
        ) from error
    return Fit(preparation, collaborative, network, calibration, knowledge, visuals, record)


def _knowledge(weights: dict[str, Tensor], words: dict[str, Any]) -> KnowledgeBase | None:
    """The prototypes, taken out of the weights; None where there are none."""
    own = [name for name in weights if name.startswith(_KNOWLEDGE)]
    arrays = {name.removeprefix(_KNOWLEDGE): weights.pop(name).numpy() for name in own}
    return KnowledgeBase.from_parts(arrays, words["knowledge"]) if words["knowledge"] else None


def _visuals(weights: dict[str, Tensor], words: dict[str, Any]) -> VisualTable | None:
    """The looks, taken out of the weights; None where there are none."""
    return None if words["looks"] is None else VisualTable(tuple(words["looks"]), weights.pop("looks").numpy())
