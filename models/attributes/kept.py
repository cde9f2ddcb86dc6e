"""What fitting guided refinement made, and how an artifact keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from features.errors import ReleaseError
from features.types import RatingScale
from features.vocabulary import Vocabulary
from models.attributes.scorer import ProductScorer
from models.backbones.outcome import Outcome
from models.backbones.refined import RefinedNetwork
from models.methods.bias import Bias, BiasConfig

_MEANS_FOLDER = "means"


class Fit(NamedTuple):
    """Everything that fitting made."""

    products: Vocabulary
    scorer: ProductScorer
    network: RefinedNetwork
    means: Bias
    outcome: Outcome


def save_fit(fit: Fit, folder: Path) -> None:
    """Writes weights.safetensors, vocabularies.json and, in a folder of its own, what `Bias.save` writes."""
    from safetensors.torch import save_file

    weights = {f"network.{name}": value for name, value in fit.network.state_dict().items()}
    weights |= {f"scorer.{name}": torch.from_numpy(np.array(it)) for name, it in fit.scorer.arrays().items()}
    weights |= {f"outcome.{name}": torch.from_numpy(it) for name, it in vars(fit.outcome).items()}
    save_file({name: value.contiguous().clone() for name, value in weights.items()}, folder / "weights.safetensors")
    texts = {"products": list(fit.products.ids), "scorer": fit.scorer.texts()}
    (folder / "vocabularies.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    (folder / _MEANS_FOLDER).mkdir(exist_ok=True)
    fit.means.save(folder / _MEANS_FOLDER)


def load_fit(folder: Path, blank: Callable[[int, int], RefinedNetwork], scale: RatingScale) -> Fit:
    """Reads what `save_fit` wrote.

    Args:
        folder: of the artifact.
        blank: an untrained network of so many products and attributes.
        scale: of the ratings.

    Raises:
        ReleaseError: it does not fit the config that `blank` follows.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(folder / "weights.safetensors")
        texts = json.loads((folder / "vocabularies.json").read_text(encoding="utf-8"))
        vocabulary = Vocabulary(tuple(texts["products"]))
        arrays = {name: value.numpy() for name, value in _part(weights, "scorer").items()}
        scorer = ProductScorer.restored(arrays, texts["scorer"])
        network = blank(len(vocabulary) - 1, len(scorer.attributes))
        network.load_state_dict(_part(weights, "network"))
        outcome = Outcome(**{name: value.numpy() for name, value in _part(weights, "outcome").items()})
        means = Bias.load(folder / _MEANS_FOLDER, BiasConfig(), scale)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ReleaseError(
            f"The weights in {folder} do not fit the config: {error}.",
            remedy="Train and save the model again.",
        ) from error
    return Fit(vocabulary, scorer, network.eval(), means, outcome)


def _part(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one part, by their own names."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
