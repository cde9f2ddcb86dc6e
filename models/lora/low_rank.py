"""Low-rank changes of linear layers, the only weights that are tuned, written in peft's format.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685, section 4.1: W x + (alpha /
r) B A x, with B = 0 at the start. The product is twenty lines, so no library is needed where a method tunes a student
while it is fitted; the files are those of peft, which `models/llm/adapter.py` merges.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from features.errors import SettingError
from models.llm.adapter import CONFIG, WEIGHTS
from models.llm.network import LowRankChange


class LoraConfig(BaseModel):
    """Which weights are tuned, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = 8
    """r."""
    alpha: int = 16
    """The change is multiplied by alpha / r."""
    dropout: float = 0.05
    """Of what a change is computed from."""
    modules: tuple[str, ...] = ("q_proj", "v_proj")
    """The linear layers of a block that are changed."""
    layers: int = 0
    """Blocks that are changed, counted from the top; 0 is all. What lies below the lowest needs no gradient."""
    batch_size: int = 8
    rate: float = 1e-3
    """Highest learning rate."""
    warmup: float = 0.05
    """Share of the steps over which the rate rises; then it falls along a cosine."""
    epochs: int = 1
    patience: int = 0
    """Epochs without a better score before training stops; 0 never stops. Scores need a `validate`."""
    decision_share: float = 0.5
    """How much of the loss is the decision's token where an answer has one; the rest is shared by its other tokens."""
    save_every: int = 10
    """Steps between two writings of the state."""


class LowRank(nn.Module):
    """A frozen linear layer with a change of low rank."""

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.base, self.scale, self.dropout, self.active = base, config.alpha / config.rank, config.dropout, True
        self.down = nn.Parameter(torch.empty(config.rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, config.rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        y: Tensor = self.base(x)
        if not self.active:
            return y
        x = functional.dropout(x, self.dropout, self.training)
        change = functional.linear(functional.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype))
        return torch.add(y, change, alpha=self.scale)

    @property
    def change(self) -> LowRankChange:
        """The change by itself."""
        return LowRankChange(self.down.detach(), self.scale * self.up.detach())

    def merged(self) -> Tensor:
        """The weight with its change, in fp32."""
        return self.base.weight.float() + self.scale * (self.up @ self.down)


def attach(network: nn.Module, config: LoraConfig) -> dict[str, LowRank]:
    """Freezes a causal language model and gives it changes that do nothing yet.

    Args:
        network: with its blocks in `model.layers`, as the Llama family has them.
        config: which layers of which blocks.

    Returns:
        The changed layers by their name in the network.

    Raises:
        SettingError: a block has no such layer.
    """
    network.requires_grad_(False)
    blocks: Any = network.get_submodule("model.layers")
    first = len(blocks) - config.layers if config.layers else 0
    changed: dict[str, LowRank] = {}
    for number in range(max(0, first), len(blocks)):
        linear = {name: part for name, part in blocks[number].named_modules() if isinstance(part, nn.Linear)}
        for module in config.modules:
            names = [name for name in linear if name.rpartition(".")[2] == module]
            if not names:
                known = ", ".join(name.rpartition(".")[2] for name in linear)
                raise SettingError(f"The network's blocks have no linear layer {module!r}.", f"They have: {known}.")
            for name in names:
                layer = LowRank(linear[name], config)
                blocks[number].set_submodule(name, layer)
                changed[f"model.layers.{number}.{name}"] = layer
    return changed


@contextmanager
def untuned(changed: dict[str, LowRank]) -> Iterator[None]:
    """The network as it was before any change, inside."""
    for layer in changed.values():
        layer.active = False
    try:
        yield
    finally:
        for layer in changed.values():
            layer.active = True


def base_weights(network: nn.Module, changed: dict[str, LowRank]) -> dict[str, Tensor]:
    """All weights by their names before `attach`, as they were."""
    parts = (".base.weight", ".base.bias", ".down", ".up")
    kept = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not (name.endswith(parts) and name.removesuffix(next(filter(name.endswith, parts))) in changed)
    }
    return kept | {f"{name}.weight": layer.base.weight.detach() for name, layer in changed.items()}


def merged_weights(network: nn.Module, changed: dict[str, LowRank]) -> dict[str, Tensor]:
    """The same with the changes in them, these in fp32: rounded to bf16, small changes are lost."""
    merged = {f"{name}.weight": layer.merged().detach() for name, layer in changed.items()}
    return base_weights(network, changed) | merged


def write_adapter(folder: Path, changed: dict[str, LowRank], config: LoraConfig, model: str) -> None:
    """Writes the changes as peft does, each file whole or not at all; equal changes give equal files.

    Args:
        folder: made if it is not there.
        changed: as `attach` returned them.
        config: their settings.
        model: name of the network they belong to.
    """
    from safetensors.torch import save_file

    numbers = sorted({int(name.split(".")[2]) for name in changed})
    settings = {
        "base_model_name_or_path": model,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "layers_to_transform": numbers if config.layers else None,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "peft_type": "LORA",
        "r": config.rank,
        "target_modules": sorted(config.modules),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    tensors = {}
    for name, layer in changed.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = layer.down.detach().clone()
        tensors[f"base_model.model.{name}.lora_B.weight"] = layer.up.detach().clone()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{CONFIG}.half").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(tensors, folder / f"{WEIGHTS}.half", metadata={"format": "pt"})
    for name in (CONFIG, WEIGHTS):
        os.replace(folder / f"{name}.half", folder / name)
