"""Several networks of one shape, trained and asked together: the seeds of an experiment, or an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state


class Members(nn.Module):
    """M networks as one module whose parameters and outputs have a leading axis of members.

    Elementwise optimisers treat the stacked parameters as they would each network's own. Members share the rows and
    what is made of them once for all, and run one after the other: what one holds meanwhile fits the processor's cache,
    where that of all together does not. They differ in where they start and in what dropout leaves out.
    """

    def __init__(self, make: Callable[[], nn.Module], n_members: int) -> None:
        super().__init__()
        networks = [make() for _ in range(n_members)]
        parameters, buffers = stack_module_state(networks)
        for name, value in parameters.items():
            self.register_parameter(_flat(name), nn.Parameter(value.detach()))
        self.n_members = n_members
        self._buffers_of = {name: value.detach() for name, value in buffers.items()}
        self._network = (networks[0],)  # a tuple, so that its weights are not registered beside the stacked ones
        self._names = {name: _flat(name) for name in parameters}
        self._alone: list[nn.Module] = []

    def train(self, mode: bool = True) -> Self:
        """As for any module; reaches the network whose form all members share."""
        self._network[0].train(mode)
        self._alone = []
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._alone = []  # what moves to another device leaves the views behind
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]

    def forward(self, *inputs: Any) -> Any:
        """The network's outputs, each tensor with a leading axis M; every member sees the same inputs."""
        if not self.training and not torch.is_grad_enabled():
            return _stacked([network(*inputs) for network in self._alone or self._stand_alone()])
        parameters = {name: self.get_parameter(flat).unbind() for name, flat in self._names.items()}
        buffers = {name: value.unbind() for name, value in self._buffers_of.items()}
        return _stacked([self._one(member, parameters | buffers, inputs) for member in range(self.n_members)])

    def _stand_alone(self) -> list[nn.Module]:
        """Each member as a module whose weights are views of the stacked ones: it answers without having them put in
        first, which for one row takes a fifth of the time.
        """
        alone = []
        with torch.inference_mode(False):  # what is made within it can be asked outside it, and not the reverse
            for member in range(self.n_members):
                network = deepcopy(self._network[0]).eval().requires_grad_(False)
                for name, parameter in network.named_parameters():
                    parameter.data = self.get_parameter(self._names[name]).detach()[member]
                for name, buffer in network.named_buffers():
                    buffer.data = self._buffers_of[name][member]
                alone.append(network)
        self._alone = alone
        return alone

    def _one(self, member: int, tensors: dict[str, tuple[Tensor, ...]], inputs: Any) -> Any:
        own = {name: values[member] for name, values in tensors.items()}
        return functional_call(self._network[0], own, inputs)


def _stacked(outputs: Sequence[Any]) -> Any:
    """Tensors, or tuples of them with names, as one with a leading axis."""
    first = outputs[0]
    return (
        torch.stack(list(outputs))
        if isinstance(first, Tensor)
        else type(first)(*map(_stacked, zip(*outputs, strict=True)))
    )


def _flat(name: str) -> str:
    """Parameters' names hold no dots."""
    return name.replace(".", "/")
