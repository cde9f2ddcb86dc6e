"""Low-rank changes of linear layers, the only weights that are tuned, written in peft's format.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685, section 4.1: W x + (alpha /
r) B A x, with B = 0 at the start. The product is twenty lines, so no library is needed where a method tunes a student
while it is fitted; the files are those of peft, which `models/llm/adapter.py` merges.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from features.errors import GenerationError, SettingError
from features.types import content_hash
from models.llm.adapter import CONFIG, WEIGHTS, adapter_revision, checked_adapter
from models.llm.network import LowRankChange


class LoraConfig(BaseModel):
    """Which weights are tuned, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1)
    """r."""
    alpha: int = Field(default=16, ge=1)
    """The change is multiplied by alpha / r."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Of what a change is computed from."""
    modules: tuple[str, ...] = ("q_proj", "v_proj")
    """The linear layers of a block that are changed."""
    layers: int = 0
    """Blocks that are changed, counted from the top; 0 is all. What lies below the lowest needs no gradient."""
    batch_size: int = Field(default=8, ge=1)
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
    start: Path | None = None
    """Folder of the adapter, in peft's format, that an earlier lesson left and this one begins with; None begins with
    the network as it is."""
    start_as: Literal["load", "chain"] = "load"
    """`load` goes on learning the earlier adapter's own weights, which must be of this rank and of these layers;
    `chain` leaves them as they are, whatever layers they change, and learns new ones beside them."""

    @property
    def earlier(self) -> Path | None:
        """The adapter that is begun with, if there is one. Raises SettingError if the folder holds none."""
        if self.start is None:
            return None
        try:
            return checked_adapter(self.start.expanduser())
        except GenerationError as error:
            raise bad_start(error) from error

    @property
    def started_from(self) -> str:
        """Revision of the adapter that is begun with, empty where there is none. Raises SettingError."""
        return "" if self.earlier is None else adapter_revision(self.earlier)

    @property
    def rests_on(self) -> tuple[str, ...]:
        """As `MethodConfig.rests_on`."""
        return (self.started_from,) if self.start else ()

    @property
    def identity(self) -> str:
        """Hash of the settings, in which the earlier adapter counts by what it holds and not by where it lies."""
        return content_hash(self.model_dump(exclude={"start"}), self.started_from)


def bad_start(error: GenerationError) -> SettingError:
    """What is wrong with an adapter, as a matter of the setting that names it."""
    return SettingError(error.found, error.expected, "Correct `start` of the tuning's settings.")


class LowRank(nn.Module):
    """A frozen linear layer with a change of low rank that learns, and one from before that does not, if it has one."""

    earlier_down: Tensor | None  # (r', in)
    earlier_up: Tensor | None  # (out, r')

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.base, self.scale, self.dropout = base, config.alpha / config.rank, config.dropout
        self.down = nn.Parameter(torch.empty(config.rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, config.rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        # Not among the weights: a state or an artifact holds what is learned, and the earlier adapter is read again.
        self.register_buffer("earlier_down", None, persistent=False)
        self.register_buffer("earlier_up", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        y: Tensor = self.base(x)
        if self.earlier_down is not None and self.earlier_up is not None:
            y = y + functional.linear(functional.linear(x, self.earlier_down.to(x.dtype)), self.earlier_up.to(x.dtype))
        if (
            not self.down.requires_grad
        ):  # nothing was learned; and a draw of dropout would count in the layers that learn
            return y
        x = functional.dropout(x, self.dropout, self.training)
        change = functional.linear(functional.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype))
        return torch.add(y, change, alpha=self.scale)

    @torch.no_grad()
    def load(self, change: LowRankChange) -> None:
        """Goes on with a change of this rank."""
        self.down.copy_(change.down)
        self.up.copy_(change.up / self.scale)

    def chain(self, change: LowRankChange) -> None:
        """Puts a change beneath the one that learns."""
        self.earlier_down, self.earlier_up = change.down, change.up

    @property
    def chained(self) -> bool:
        """Whether there is a change from before."""
        return self.earlier_down is not None

    @property
    def change(self) -> LowRankChange:
        """All that is added to the layer, by itself; of two changes, one of their ranks' sum."""
        down, up = self.down.detach(), self.scale * self.up.detach()
        if self.earlier_down is None or self.earlier_up is None:
            return LowRankChange(down, up)
        return LowRankChange(torch.cat([self.earlier_down, down]), torch.cat([self.earlier_up, up], dim=1))

    def merged(self) -> Tensor:
        """The weight with all changes, in fp32."""
        return self.base.weight.float() + self.change.up @ self.change.down


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

    What was begun with is in them: chained changes are one change of both ranks, whose scale is 1. So the files need
    the network alone, whatever was learned in how many steps.

    Args:
        folder: made if it is not there.
        changed: as `attach` returned them.
        config: their settings.
        model: name of the network they belong to.
    """
    from safetensors.torch import save_file

    numbers = sorted({int(name.split(".")[2]) for name in changed})
    changes = {name: layer.change for name, layer in changed.items()}
    rank = max((change.down.shape[0] for change in changes.values()), default=config.rank)
    chained = any(layer.chained for layer in changed.values())
    alpha = rank if chained else config.alpha
    settings = {
        "base_model_name_or_path": model,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "layers_to_transform": numbers if config.layers else None,
        "lora_alpha": alpha,
        "lora_dropout": config.dropout,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": sorted({name.rpartition(".")[2] for name in changed}),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    tensors = {}
    for name, change in changes.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = change.down.clone()
        tensors[f"base_model.model.{name}.lora_B.weight"] = change.up * rank / alpha
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{CONFIG}.half").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(tensors, folder / f"{WEIGHTS}.half", metadata={"format": "pt"})
    for name in (CONFIG, WEIGHTS):
        os.replace(folder / f"{name}.half", folder / name)
