"""The state of a training on disk, so that a killed one goes on from it.

One safetensors file, so that weights, optimiser, random numbers and progress always belong together; it is replaced as
a whole. What cannot be written costs a warning and not the training; what cannot be read counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from features.types import content_hash
from models.base import RunContext

logger = logging.getLogger(__name__)
_NOTES = "progress"


class Checkpoint:
    """Where one training is kept, and when it is to be written next.

    Args:
        path: the file; None keeps nothing.
        seconds: between two writes.
    """

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.seconds, self._written = path, seconds, time.monotonic()

    @classmethod
    def of(cls, run: RunContext, module: torch.nn.Module, *made_from: object) -> Checkpoint:
        """The checkpoint of a training that is about to start.

        Its name comes from where the training starts: arguments, first weights, state of the random numbers. So of
        several trainings of one fit each finds its own. Config and rows have no say in it: a fit has its own folder.
        """
        if run.state is None:
            return cls(None, run.save_seconds)
        starts = [_digest({**module.state_dict(), **random_state(run.device)}), torch.__version__]
        name = content_hash([str(part) for part in made_from], starts)[:16]
        return cls(run.state / f"{name}.safetensors", run.save_seconds)

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return self.path is not None and time.monotonic() - self._written >= self.seconds

    def write(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
        """Replaces what was kept. `notes` are anything that JSON holds."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        if self.path is None:
            return
        half = self.path.with_suffix(".half")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
            save_file(own, half, metadata={_NOTES: json.dumps(notes)})
            os.replace(half, self.path)
        except (OSError, SafetensorError) as error:
            logger.warning("the training's state cannot be kept in %s: %s", self.path, error)
        self._written = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was kept of this training; None if nothing was."""
        from safetensors import SafetensorError, safe_open

        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                notes: dict[str, Any] = json.loads(file.metadata()[_NOTES])
                return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s is damaged, the training starts anew: %s", self.path, error)
            return None


def random_state(device: str) -> dict[str, Tensor]:
    """The state of torch's random numbers by device, as bytes."""
    states = {"random.cpu": torch.get_rng_state()}
    return states | ({"random.device": torch.cuda.get_rng_state(device)} if device.startswith("cuda") else {})


def set_random_state(states: Mapping[str, Tensor], device: str) -> None:
    """Puts back what `random_state` gave; other names are ignored."""
    torch.set_rng_state(states["random.cpu"])
    if "random.device" in states:
        torch.cuda.set_rng_state(states["random.device"], device)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, tensor in tensors.items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
