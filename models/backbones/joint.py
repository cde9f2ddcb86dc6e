"""The autoencoder's joint stage: codes that go on learning with the ranker that reads them.

Source: LR-Recsys (Wang, Pan, Chen, arXiv 2502.16759), section 3.2 of our reading: after fine-tuning, the autoencoder is
trained on with L = L_prediction + lambda_rec L_reconstruction. Stored codes are read by every model of a home and by
the live release, so the stored encoder stays as it is and the stage is one more pair of layers on top of it, which
belongs to the ranker: an encoder of codes and a decoder back to them, as autoencoders are stacked (Vincent et al.,
"Stacked Denoising Autoencoders", JMLR 2010, section 3.5). What leads back to the code leads on to its text through the
stored decoder. Both start as the identity.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from models.backbones.autoencoder import AutoencoderConfig, reconstruction_loss
from models.backbones.closeness import closeness
from models.backbones.inputs import Inputs


class Codes(NamedTuple):
    """The codes of the texts that a batch uses, once each, in the order of `Inputs.distinct`."""

    consumer: Tensor  # (D, 2, M, W)
    product: Tensor  # (D', 2, M', W)
    pair: Tensor  # (D'', 2, W)
    """0 where there is no text."""

    @classmethod
    def stored(cls, inputs: Inputs) -> Codes:
        """As the feature store has them."""
        found = inputs.distinct
        consumer, product = found["consumer_codes_row"].values, found["product_codes_row"].values
        return cls(consumer, product, found["pair_row"].values.nan_to_num())

    def closeness(self, inputs: Inputs) -> Tensor:
        """(B, 2, K): how many facets of both sides of the batch's pairs come how near (`closeness`)."""
        return closeness(
            inputs.distinct["consumer_codes_row"].each(self.consumer),
            inputs.table("consumer_weights_row"),
            inputs.distinct["product_codes_row"].each(self.product),
            inputs.table("product_weights_row"),
        )


class Joint(nn.Module):
    """Moves codes to where the ranker wants them, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _step(width), _step(width)

    def forward(self, codes: Codes) -> Codes:
        """The same codes, moved; no text stays no text to whoever looks at weights or at the stored code."""
        return Codes(*(self.move(code) for code in codes))

    def move(self, codes: Tensor) -> Tensor:
        """Any (..., W)."""
        moved: Tensor = codes + self.encoder(codes)
        return moved

    def back(self, moved: Tensor) -> Tensor:
        """What moved codes (..., W) say the stored ones were."""
        found: Tensor = moved + self.decoder(moved)
        return found

    def reconstruction(self, stored: Codes, moved: Codes) -> Tensor:
        """L_rec (): how far the moved codes of texts lead back to the stored ones, mean over sides and pairs."""
        weight, losses = AutoencoderConfig().lambda_cosine, list[Tensor]()
        for codes, seen in zip(stored, moved, strict=True):
            told = (codes != 0).any(-1)
            if told.any():
                losses.append(reconstruction_loss(self.back(seen[told]), codes[told], weight))
        return sum(losses, stored.pair.new_zeros(())) / max(len(losses), 1)


def _step(width: int) -> nn.Sequential:
    """What is added to a code: nothing at first."""
    last = nn.Linear(width, width)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), last)
