"""How near the facets of a consumer come to those of a product, as a soft histogram.

Attention over facets says which of them meet, but its shares add up to 1: whether three reasons meet or none is lost.
Counting pairs of facets by how near they are keeps it. Source: kernel pooling (Xiong et al., "End-to-End Neural Ad-hoc
Ranking with Kernel Pooling", SIGIR 2017, eq. 4 and 5), with the cosines of explanation codes and fixed kernels, so that
it is computed once.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

CENTRES = (1.0, 0.9, 0.75, 0.5, 0.25, 0.0)
WIDTHS = (0.05, 0.1, 0.12, 0.15, 0.15, 0.15)
N_KERNELS = len(CENTRES)


def closeness(
    consumer_codes: Tensor, consumer_weights: Tensor, product_codes: Tensor, product_weights: Tensor
) -> Tensor:
    """log(1 + number of pairs of facets near each centre), by stance.

    Args:
        consumer_codes: (B, 2, M, W) of attractors and aversions; of one consumer (1, 2, M, W), with every product.
        consumer_weights: (B or 1, 2, M), 0 where there is no facet.
        product_codes: (B, 2, M', W) of strengths and weaknesses.
        product_weights: (B, 2, M').

    Returns:
        (B, 2, K): attractors with strengths, aversions with weaknesses; 0 where one side has no facet.
    """
    units = functional.normalize(consumer_codes, dim=-1), functional.normalize(product_codes, dim=-1)
    cosines = torch.einsum("nsaw,nsbw->nsab", *units)
    centres, falls = _kernels(cosines.device)
    near = ((cosines.unsqueeze(-1) - centres) ** 2 * falls).exp()  # (B, 2, M, M', K)
    both = (consumer_weights > 0).unsqueeze(-1) & (product_weights > 0).unsqueeze(-2)
    return (near * both.unsqueeze(-1)).sum((2, 3)).log1p()


@cache
def _kernels(device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres (K,) of the kernels, and what a squared distance from them is multiplied with."""
    with torch.inference_mode(False):  # what is made within it could not be used outside it
        widths = torch.tensor(WIDTHS, device=device)
        return torch.tensor(CENTRES, device=device), -1 / (2 * widths**2)
