"""Where a tuning begins: the adapter of an earlier lesson, gone on with or chained beneath a new one.

Source: TALLRec (Bao et al., RecSys 2023) tunes on general instructions first and begins its recommendation tuning with
that adapter (`load`). A chained adapter stays beside the weights and is not added to them: in bf16 the smaller part of
a change would round away. Either way `models.lora.low_rank.write_adapter` writes one adapter of the network as it was,
and merged weights hold both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.nn import functional

from features.errors import GenerationError, SettingError
from models.llm.adapter import read_changes
from models.llm.network import LowRankChange
from models.lora.low_rank import LoraConfig, LowRank, bad_start


def begin(network: nn.Module, changed: dict[str, LowRank], config: LoraConfig) -> dict[str, LowRank]:
    """Lets changes that do nothing yet begin where the config says.

    Args:
        network: whose layers they are.
        changed: as `attach` returned them.
        config: names the adapter, if there is one.

    Returns:
        All changed layers; a chained adapter may change more of them than those that learn.

    Raises:
        SettingError: there is no adapter, or it does not fit; what was found and what was expected is said.
    """
    folder = config.earlier
    if folder is None:
        return changed
    try:
        earlier = read_changes(folder)
    except GenerationError as error:
        raise bad_start(error) from error
    if config.start_as == "chain":
        return _chain(network, changed, earlier, config)
    return _load(changed, earlier, config)


def _load(changed: dict[str, LowRank], earlier: Mapping[str, LowRankChange], config: LoraConfig) -> dict[str, LowRank]:
    if earlier.keys() != changed.keys():
        raise _misfit(config, f"changes {_described(earlier)}", f"This tuning changes {_described(changed)}.")
    for name, layer in changed.items():
        change = earlier[name]
        if (change.down.shape, change.up.shape) != (layer.down.shape, layer.up.shape):
            raise _misfit(config, f"has {_sizes(change.down, change.up)} in {name}",
                          f"This tuning has {_sizes(layer.down, layer.up)} there.")  # fmt: skip
        layer.load(change)
    return changed


def _chain(
    network: nn.Module, changed: dict[str, LowRank], earlier: Mapping[str, LowRankChange], config: LoraConfig
) -> dict[str, LowRank]:
    """All changes get the earlier one's rank, so that what is written later has one rank throughout."""
    # Of the blocks alone: the head and the table of words are read as they are by all that decides and writes.
    linear = {
        name: part
        for name, part in network.named_modules()
        if name.startswith("model.layers.") and isinstance(part, nn.Linear | LowRank)
    }
    rank = max((change.down.shape[0] for change in earlier.values()), default=0)
    layers = dict(changed)
    for name, change in earlier.items():
        part = linear.get(name)
        base = part.base if isinstance(part, LowRank) else part
        if base is None:
            raise _misfit(config, f"changes {name}", "There is no such linear layer in any of the network's blocks.")
        if (change.up.shape[0], change.down.shape[1]) != tuple(base.weight.shape):
            raise _misfit(config, f"has {_sizes(change.down, change.up)} in {name}",
                          f"The network's layer has the shape {tuple(base.weight.shape)}.")  # fmt: skip
        if name not in layers:
            layers[name] = LowRank(base, config).requires_grad_(False)
            network.set_submodule(name, layers[name])
    for name, layer in layers.items():
        weight = layer.base.weight
        nothing = LowRankChange(torch.zeros(0, weight.shape[1]), torch.zeros(weight.shape[0], 0))
        layer.chain(_padded(earlier.get(name, nothing), rank))
    return layers


def _padded(change: LowRankChange, rank: int) -> LowRankChange:
    """The same change with a larger rank."""
    missing = rank - change.down.shape[0]
    return LowRankChange(functional.pad(change.down, (0, 0, 0, missing)), functional.pad(change.up, (0, missing)))


def _misfit(config: LoraConfig, found: str, expected: str) -> SettingError:
    remedy = 'Give rank, modules and layers of the adapter, or chain it (`start_as = "chain"`).'
    if config.start_as == "chain":
        remedy = "Give an adapter that was made for this network."
    return SettingError(f"The adapter {config.start} {found}.", expected, remedy)


def _described(names: Iterable[str]) -> str:
    """`q_proj, v_proj in 30 blocks (0 to 29)`."""
    modules, blocks = set[str](), set[int]()
    for name in names:
        modules.add(name.rpartition(".")[2])
        blocks |= {int(part) for part in name.split(".") if part.isdigit()}
    where = f"{len(blocks)} blocks ({min(blocks)} to {max(blocks)})" if blocks else "no block"
    return f"{', '.join(sorted(modules)) or 'nothing'} in {where}"


def _sizes(down: torch.Tensor, up: torch.Tensor) -> str:
    return f"rank {down.shape[0]} from {down.shape[1]} to {up.shape[0]}"
