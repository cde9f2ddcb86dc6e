"""What each paper claims, and in which result files, over what, it is looked for.

Only claims that were read in a public source are here; papers' tables were not to be had.
A control is mandatory where a gain without it could come from something else than the method's idea.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A relative gain that a paper claims."""

    low: float
    """Least gain; equal to `high` where one figure is told."""
    high: float
    over: str
    source: str
    up_to: bool = False
    """Whether the figure is the best case."""

    def __str__(self) -> str:
        shown = f"{self.high:+.1%}".replace(".0%", "%").replace("%", " %")
        if self.up_to:
            return f"up to {shown} over {self.over}"
        return f"{'' if self.low == self.high else f'{self.low:+.0%} to '.replace('%', ' %')}{shown} over {self.over}"


@dataclass(frozen=True)
class Study:
    """A result file of a method, and what must be beaten in it."""

    method: str
    file: str
    """Under `benchmarks/results`; where it is missing, nothing was run. A folder has a file for each split."""
    metrics: tuple[str, ...]
    """As the file names them; the first is drawn."""
    backbone: str
    controls: tuple[str, ...]
    """All are mandatory."""


CLAIMS: dict[tuple[str, str], Claim] = {
    ("lr_recsys", "rmse"): Claim(0.03, 0.14, "the state of the art", "arXiv 2502.16759v1, as alphaXiv sums it up"),
    ("lr_recsys", "auc"): Claim(0.03, 0.04, "the state of the art", "arXiv 2502.16759v1, as alphaXiv sums it up"),
    ("lane", ""): Claim(0.0, 0.24, "its backbones", "the authors' repository (Ming209/LANE)", up_to=True),
    ("guided", ""): Claim(0.10, 0.50, "its base models", "arXiv 2504.11658, abstract"),
    ("reasoning_rec", ""): Claim(0.0, 0.125, "the state of the art", "arXiv 2410.23180, abstract", up_to=True),
    ("explain_rec", ""): Claim(0.007, 0.007, "strong baselines, on films", "arXiv 2511.14770, abstract"),
}
"""By method and metric; no metric: all of them. The combined ranker is ours, and no paper claims anything of it."""

_REASONS = ("shuffled", "product_text", "summary", "pos_only", "neg_only")
_COLUMNS = ("base_longer", "random_columns", "text_columns")
_PREFERENCES = ("title_table", "lane_mean", "lane_other", "lane_swapped")
_PEERS = ("title-only", "gru-all", "sasrec-all", "liked-share-of-product")

STUDIES: tuple[Study, ...] = (
    *(
        Study("lr_recsys", f"lr_recsys/variants/{name}", ("rmse", "auc"), "no_expl", _REASONS)
        for name in ("world", "amazon-musical-instruments", "ml-100k", "ml-latest-small", "amazon-beauty")
    ),
    *(
        Study("lane", f"methods/lane-{name}.json", ("ndcg@10/full", "hr@10/full"), "backbone", _PREFERENCES)
        for name in ("amazon-musical-instruments", "ml-100k", "amazon-beauty")
    ),
    *(
        Study("guided", f"methods/guided-{name}.json", ("mrr", "ndcg@10"), "base", _COLUMNS)
        for name in ("amazon-musical-instruments", "ml-100k")
    ),
    # Nothing is known of these products, so that a base trained longer cannot rank them either.
    *(
        Study("guided", f"methods/guided-cold-{name}.json", ("mrr", "ndcg@10"), "base", _COLUMNS[1:])
        for name in ("amazon-musical-instruments", "ml-100k")
    ),
    *(
        Study("reasoning_rec", f"methods/reasoning_rec-{name}.json", ("auc_soft",), "zero-shot", _PEERS)
        for name in ("ml-1m", "amazon-beauty")
    ),
    Study("explain_rec", "methods/explain_rec-everybody.json", ("auc",), "none", ("no-attribution", "no-multi-task")),
    Study("explain_rec", "methods/explain_rec-strangers.json", ("auc",), "none", ("no-knowledge-base", "popularity")),
    Study("explain_rec", "methods/explain_rec-new-products.json", ("auc",), "none", ("popularity",)),
    Study("explain_rec", "methods/explain_rec-looks.json", ("auc",), "no-vision", ("shuffled",)),
    Study("explain_rec", "methods/explain_rec-students.json", ("auc_soft",), "zero-shot", ("tallrec",)),
    *(
        Study("combined", f"methods/combined-ranking-{name}.json", ("ndcg@10/full", "hr@10/full"), "blend", alone)
        for name, alone in (
            ("amazon-musical-instruments", ("sequence", "refined", "lane")),
            ("ml-100k", ("sequence", "refined")),
        )
    ),
    *(
        Study("combined", f"methods/combined-rating-{name}.json", ("rmse", "auc"), "lr_recsys", ("lane", "guided"))
        for name in ("world", "ml-100k")
    ),
)


def claim_of(method: str, metric: str) -> Claim | None:
    """The paper's claim about a metric; None for a method without a paper."""
    return CLAIMS.get((method, metric)) or CLAIMS.get((method, ""))
