"""How near the facets of a consumer come to those of a product, as a soft histogram.

Attention over facets says which of them meet, but its shares add up to 1: whether three reasons meet or none is lost.
Counting pairs of facets by how near they are keeps it. Source: kernel pooling (Xiong et al., "End-to-End Neural Ad-hoc
Ranking with Kernel Pooling", SIGIR 2017, eq. 4 and 5), with the cosines of explanation codes and fixed kernels, so that
it is computed once.
"""

from __future__ import annotations

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
        consumer_codes: (B, 2, M, W) of attractors and aversions.
        consumer_weights: (B, 2, M), 0 where there is no facet.
        product_codes: (B, 2, M', W) of strengths and weaknesses.
        product_weights: (B, 2, M').

    Returns:
        (B, 2, K): attractors with strengths, aversions with weaknesses; 0 where one side has no facet.
    """
    cosines = functional.normalize(consumer_codes, dim=-1) @ functional.normalize(product_codes, dim=-1).mT
    centres, widths = cosines.new_tensor(CENTRES), cosines.new_tensor(WIDTHS)
    near = (-((cosines.unsqueeze(-1) - centres) ** 2) / (2 * widths**2)).exp()  # (B, 2, M, M', K)
    both = (consumer_weights > 0).unsqueeze(-1) & (product_weights > 0).unsqueeze(-2)
    return (near * both.unsqueeze(-1)).sum((2, 3)).log1p()
