"""Adapters of the embedded model: low-rank changes of its weights, in peft's format, merged when it is loaded.

A folder holds `adapter_config.json` and `adapter_model.safetensors`, as `save_pretrained` of peft writes them. Merging
is W + (alpha / r) B A and needs no peft; the engine is as fast with an adapter as without.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from features.errors import GenerationError
from models.llm.network import LowRankChange

SHIPPED = Path(__file__).parent / "adapter"
"""The adapter that comes with the package, if it does."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
_UNKNOWN = (
    "use_dora", "fan_in_fan_out", "modules_to_save", "alpha_pattern", "megatron_config", "alora_invocation_tokens",
    "arrow_config", "kasa_config", "layer_replication", "lora_bias", "target_parameters", "trainable_token_indices",
    "use_bdlora", "use_qalora",
)  # fmt: skip
"""Options that would make the merge another one."""
_REBASED = ("corda", "loftq", "lora_ga", "olora", "pissa")
"""Beginnings of the ways to begin that change the network's own weights, so that the change is one of others."""


def find_adapter(setting: str) -> Path | None:
    """The adapter that a host's setting names: `none`, a folder, or empty for the shipped one if there is one.

    Raises GenerationError if a folder is named that holds no adapter.
    """
    if setting == "none" or not (setting or (SHIPPED / WEIGHTS).is_file()):
        return None
    return checked_adapter(Path(setting).expanduser() if setting else SHIPPED)


def checked_adapter(folder: Path) -> Path:
    """The same folder. Raises GenerationError if it holds no adapter."""
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise GenerationError(
            f"The adapter folder {folder} has no {' and no '.join(missing)}.",
            f"An adapter is a folder with {CONFIG} and {WEIGHTS}, as peft saves it.",
            "Correct COUNTERPOINT_LLM_ADAPTER, or set it to `none` to use the model as it is.",
        )
    return folder


def adapter_revision(folder: Path) -> str:
    """The first 8 hex digits of the sha256 of both files: another adapter is another model."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:8]


def merged(weights: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The weights with an adapter's changes, which are added in fp32.

    Args:
        weights: by their names in transformers.
        folder: the adapter.

    Raises:
        GenerationError: the adapter is of another kind or made for another network.
    """
    changed = dict(weights)
    for name, change in read_changes(folder).items():
        target = f"{name}.weight"
        if target not in weights or (change.up.shape[0], change.down.shape[1]) != tuple(weights[target].shape):
            raise _foreign(folder, f"{_PREFIX}{name}{_DOWN} fits no tensor of the network")
        changed[target] = weights[target].float() + change.up @ change.down
    return changed


def read_changes(folder: Path) -> dict[str, LowRankChange]:
    """An adapter's changes in fp32, by the names of the layers that they change.

    Raises:
        GenerationError: the files are damaged, or merging them would take more than a scaled product.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        alpha, parts = _alpha(folder), load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise _foreign(folder, f"its files cannot be read ({error})") from error
    changes = {}
    for name, down in parts.items():
        if not name.endswith(_DOWN):
            continue
        up = parts.get(_up(name))
        if up is None or up.ndim != 2 or down.ndim != 2 or not up.shape[1] == down.shape[0] > 0:
            raise _foreign(folder, f"{name} has no second part that it fits")
        scaled = alpha.scale(down.shape[0]) * up.float()
        changes[name.removeprefix(_PREFIX).removesuffix(_DOWN)] = LowRankChange(down.float(), scaled)
    if unread := set(parts) - {name for down in parts if down.endswith(_DOWN) for name in (down, _up(down))}:
        raise _foreign(folder, f"{min(unread)} is not a part of a low-rank change")
    if not changes:
        raise _foreign(folder, "it changes nothing")
    return changes


def _up(down: str) -> str:
    return down.removesuffix(_DOWN) + _UP


@dataclass(frozen=True)
class _Alpha:
    """How much a product counts."""

    alpha: float
    rank_stable: bool

    def scale(self, rank: int) -> float:
        """What a product of that rank is multiplied by."""
        return self.alpha / (math.sqrt(rank) if self.rank_stable else rank)


def _alpha(folder: Path) -> _Alpha:
    """From an adapter's settings. Raises GenerationError if merging would take more than a scaled product."""
    config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise _foreign(folder, f"its {CONFIG} holds a {type(config).__name__}")
    kind, bias, begun = config.get("peft_type"), config.get("bias", "none"), config.get("init_lora_weights")
    found = [name for name in _UNKNOWN if config.get(name)]
    found += [] if kind == "LORA" else [f"peft_type {kind!r}"]
    found += [] if bias == "none" else [f"bias {bias!r}"]
    found += [f"init_lora_weights {begun!r}"] if isinstance(begun, str) and begun.startswith(_REBASED) else []
    if found:
        raise _foreign(folder, f"it has {', '.join(found)}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float):
        raise _foreign(folder, f"its lora_alpha is {alpha!r}")
    return _Alpha(float(alpha), bool(config.get("use_rslora")))


def _foreign(folder: Path, found: str) -> GenerationError:
    return GenerationError(
        f"The adapter {folder} cannot be merged: {found}.",
        "Only plain LoRA adapters of the network's own weights can (no bias, no DoRA, no saved modules, no PiSSA).",
        "Correct COUNTERPOINT_LLM_ADAPTER, or set it to `none` to use the model as it is.",
    )
