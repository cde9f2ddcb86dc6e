"""What is compared: the method in full, its controls, and its back ends. Only what is named here differs."""

from __future__ import annotations

from dataclasses import dataclass

from models.backbones.fusion import Backend
from models.backbones.reasons import Shown
from models.methods.lr_recsys import LRRecsysConfig


@dataclass(frozen=True)
class Variant:
    """One way to train the network; all have the same rows, fields, settings and number of parameters."""

    name: str
    texts: str = "model"
    """One of `benchmarks.lr.texts.TEXT_SETS`, or of its `PAIR_SETS`."""
    explanations: Shown = "full"
    backend: Backend = "mlp"
    joint: float = 0.0
    """Weight of the reconstruction loss with which codes are trained on; 0 reads them as stored."""
    fraction: float = 1.0
    """Share of the training rows."""

    def changed(self, config: LRRecsysConfig) -> LRRecsysConfig:
        """A dataset's settings with what the variant names."""
        return config.model_copy(
            update={"explanations": self.explanations, "backend": self.backend, "joint": self.joint}
        )


SHARES = (0.05, 0.125, 0.25, 0.5, 0.75)
"""Of the training rows, for the learning curve."""

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("full"),
        Variant("no_expl", "none", "none"),
        Variant("shuffled", "shuffled"),
        Variant("product_text", "product_text"),
        Variant("pos_only", explanations="pos_only"),
        Variant("neg_only", explanations="neg_only"),
        Variant("random", "random"),
        Variant("swapped", "swapped"),
        Variant("summary", "summary"),
        Variant("hidden_titles", "hidden_titles"),
        Variant("template", "template"),
        Variant("no_finetune", "no_finetune"),
        Variant("joint", joint=1.0),
        Variant("external", "external"),
        Variant("combined", "combined"),
        *(Variant(f"full_{kind}", backend=kind) for kind in ("deepfm", "dcn", "din")),  # type: ignore[arg-type]
        *(Variant(f"no_expl_{kind}", "none", "none", kind) for kind in ("deepfm", "dcn", "din")),  # type: ignore[arg-type]
        *(Variant(f"full@{share:g}", fraction=share) for share in SHARES),
        *(Variant(f"no_expl@{share:g}", "none", "none", fraction=share) for share in SHARES),
    )
}
"""By name. `full` has the model's texts; the controls of a gain are `no_expl` (a), `shuffled` (b), `random` (c),
`product_text` (d), `pos_only` (e), `neg_only` (f) and `swapped` (g) of the evaluation protocol."""

QUICK = ("full", "no_expl", "shuffled", "product_text")
"""What a first table needs."""
