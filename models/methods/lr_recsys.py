"""LR-Recsys: contrastive explanations as inputs of a neural recommender.

Source: Wang, Pan, Chen, "The Blessing of Reasoning: LLM-Based Contrastive Explanations in Black-Box Recommender
Systems", arXiv 2502.16759 (v1). A language model says why a consumer would like a product and why not; both texts
become codes; the codes are two more fields of the ranking network, so reasons are part of the prediction.

Deviations from the paper, all ours:
- entity granularity: where no text was bought for a pair, a composer makes its code from the facets of the
  consumer and
  of the product (U + I texts instead of U x I) and is distilled from the bought codes;
- explanation dropout: a code is sometimes replaced by a learned "missing" vector, so bought, composed and
  absent reasons
  are interchangeable when serving;
- one network with two heads (stars by MSE on 0..1, liking by BCE), each starting from damped means as of the
  row's time,
  so that the network only learns what biases cannot say;
- the MLP also sees the dot products of the fields, without which few rows do not teach it who goes with what;
- ids are sometimes dropped in training, so that unknown consumers and products are normal cases.

Not covered: fine-tuning the language model (RecPIE), training the autoencoder jointly with the recommender.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from features.batch import (
    CODE_WIDTH,
    CONSUMER_NUMERIC,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    PRODUCT_NUMERIC,
    FeatureBatch,
    TrainingSet,
)
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from models.backbones.preparation import N_PRIORS, N_TIME, RATING_BUCKETS, Inputs, Preparation, unit_rating
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.threads import torch_threads
from models.training import LoopSettings, fit_module, seeded

FIELDS = ("consumer", "product", "context", "history", "e_plus", "e_minus")
"""The K fields of the fusion network, in order."""
_PAIRS = ([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4], [1, 2, 3, 4, 5, 2, 3, 4, 5, 3, 4, 5, 4, 5, 5])
"""The unordered pairs of fields, whose dot products the MLP sees beside the fields."""
CHUNK = 4096
NO_FACET = 1e-4
"""Weight of the "no facet" slot beside real facets: small, so it matters only where a side has none."""


class LRRecsysConfig(MethodConfig):
    """Widths, regularisation and training."""

    embedding_size: int = 64
    """d: width of every field."""
    n_heads: int = 4
    hidden: tuple[int, ...] = (256, 128, 64)
    dropout: float = 0.2
    explanation_dropout: float = 0.2
    """p: how often a code is replaced by "missing" in training, and a bought code by the composed one."""
    id_dropout: float = 0.1
    """How often an id is replaced by "unknown" in training."""
    explanations: Literal["full", "pos_only", "neg_only", "none"] = "full"
    """Which codes are seen; the number of parameters is the same for all."""
    lambda_click: float = 0.1
    """Weight of the liking loss beside the rating loss."""
    lambda_distil: float = 0.1
    """Weight of making composed codes like bought ones."""
    damping: float = 10.0
    """Prior events in the means a prediction starts from."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    batch_size: int = 512
    epochs: int = 30
    patience: int = 4


class Output(NamedTuple):
    """What the network says of B pairs."""

    rating: Tensor  # (B,) 0..1
    click: Tensor  # (B,) logit
    attention: Tensor  # (B, K)
    distillation: Tensor  # () loss of composed codes against bought ones


class Entities(nn.Module):
    """Consumer and product fields: id embedding + what is known of it (section 3.3)."""

    def __init__(self, config: LRRecsysConfig, preparation: Preparation) -> None:
        super().__init__()
        d = config.embedding_size
        self.id_dropout = config.id_dropout
        self.consumer = nn.Embedding(len(preparation.consumers) + 1, d)
        self.product = nn.Embedding(len(preparation.products) + 1, d)
        self.attributes = nn.EmbeddingBag(len(preparation.attributes) + 1, d, mode="mean", padding_idx=0)
        self.consumer_numeric = nn.Linear(2 * len(CONSUMER_NUMERIC), d)
        self.product_numeric = nn.Linear(2 * len(PRODUCT_NUMERIC), d)
        self.content = nn.Linear(CONTENT_WIDTH, d)
        self.context = nn.Sequential(nn.Linear(N_TIME, d), nn.GELU(), nn.Linear(d, d))
        for table in (self.consumer, self.product, self.attributes):
            nn.init.normal_(table.weight, std=0.2)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Fields (B, d) of consumer, product and context, and the ids after dropout (B,)."""
        consumer, product = self._drop(inputs.consumer), self._drop(inputs.product)
        u = self.consumer(consumer) + self.consumer_numeric(inputs.consumer_numeric)
        i = self.product(product) + self.product_numeric(inputs.product_numeric)
        i = i + self.content(inputs.table("content_row")) + self.attributes(inputs.table("attribute_row"))
        return u, i, self.context(inputs.time), consumer, product

    def _drop(self, ids: Tensor) -> Tensor:
        if not self.training:
            return ids
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.id_dropout, 0)


class History(nn.Module):
    """Attention over the last L products, with the target product as query, as in DIN (section 3.3)."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.rating = nn.Embedding(RATING_BUCKETS, d)
        self.place = nn.Embedding(HISTORY_LENGTH, d)
        self.query, self.key, self.value = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.empty = nn.Parameter(torch.zeros(d))
        for table in (self.rating, self.place):
            nn.init.normal_(table.weight, std=0.05)

    def forward(self, target: Tensor, products: Tensor, inputs: Inputs) -> Tensor:
        """(B, d) from the target (B, d) and the history's product embeddings (B, L, d)."""
        rating = self.rating(inputs.history_rating)
        events = products + rating + self.place.weight[: products.shape[1]]  # (B, L, d)
        match = (self.key(events) @ self.query(target).unsqueeze(-1)).squeeze(-1) / target.shape[-1] ** 0.5
        mask = inputs.history_mask
        known = mask.any(1, keepdim=True)
        match = match.masked_fill(~mask & known, -torch.inf)  # an empty history stays finite and is replaced below
        summary = (match.softmax(-1).unsqueeze(1) @ self.value(functional.gelu(events))).squeeze(1)
        return torch.where(known, summary, self.empty)


class Composer(nn.Module):
    """g_plus and g_minus: a code for a pair from the facets of both sides (section 8).

    Every facet of the consumer meets every facet of the product; a pair of facets counts by how well they
    match and by
    their weights. A "no facet" slot on each side lets one side speak where the other has nothing.
    """

    def __init__(self, width: int, inner: int = 64) -> None:
        super().__init__()
        self.no_facet = nn.Parameter(torch.zeros(2, 2, width))  # (side, stance, W)
        self.polarity = nn.Parameter(torch.randn(2, width) * 0.05)
        self.query, self.key = nn.Linear(width, inner), nn.Linear(width, inner)
        self.consumer_value, self.product_value = nn.Linear(width, inner), nn.Linear(width, inner)
        self.out = nn.Sequential(nn.Linear(inner, width), nn.LayerNorm(width))

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Codes (B, 2, W), and whether there is any facet (B, 2)."""
        consumer_weights, product_weights = (
            inputs.table("consumer_weights_row"),
            inputs.table("product_weights_row"),
        )
        known = (consumer_weights > 0).any(-1) | (product_weights > 0).any(-1)
        a = self._slots(inputs.table("consumer_codes_row"), 0)  # (B, 2, M + 1, W)
        s = self._slots(inputs.table("product_codes_row"), 1)
        match = self.query(a) @ self.key(s).transpose(-1, -2) / self.query.out_features**0.5
        match = match + _log_weights(consumer_weights).unsqueeze(-1) + _log_weights(product_weights).unsqueeze(-2)
        share = match.flatten(-2).softmax(-1).unsqueeze(-2)  # (B, 2, 1, (M + 1)^2)
        value = self.consumer_value(a).unsqueeze(-2) + self.product_value(s).unsqueeze(-3)
        value = functional.gelu(value).flatten(2, 3)  # (B, 2, (M + 1)^2, inner)
        return self.out((share @ value).squeeze(-2)), known

    def _slots(self, codes: Tensor, side: int) -> Tensor:
        empty = self.no_facet[side].unsqueeze(1).expand(len(codes), 2, 1, -1)
        return torch.cat([codes, empty], dim=2) + self.polarity.unsqueeze(1)


def _log_weights(weights: Tensor) -> Tensor:  # (B, 2, M) -> (B, 2, M + 1)
    slots = functional.pad(weights.clamp(min=0), (0, 1), value=NO_FACET)
    return slots.clamp(min=1e-12).log()


class Reasons(nn.Module):
    """The fields e_plus and e_minus: bought code, else composed code, else "missing" (sections 3.2 and 8)."""

    def __init__(self, config: LRRecsysConfig) -> None:
        super().__init__()
        d = config.embedding_size
        self.dropout = config.explanation_dropout
        shown = {"full": (1, 1), "pos_only": (1, 0), "neg_only": (0, 1), "none": (0, 0)}[config.explanations]
        self.register_buffer("shown", torch.tensor(shown, dtype=torch.bool), persistent=False)
        self.composer = Composer(CODE_WIDTH)
        self.adapter = nn.Linear(CODE_WIDTH, d)
        self.polarity = nn.Parameter(torch.randn(2, d) * 0.05)
        self.missing = nn.Parameter(torch.randn(2, d) * 0.05)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Fields (B, 2, d), mask bits (B, 2): 1 where a reason is seen, and the distillation loss ()."""
        composed, has_facets = self.composer(inputs)
        pair = inputs.table("pair_row")  # (B, 2, W)
        bought = ~pair.isnan().any(-1)
        pair = pair.nan_to_num()
        distillation = _distillation(composed, pair, bought & has_facets & self.shown)
        use_pair = bought & ~(self._drawn(bought) & has_facets)
        code = torch.where(use_pair.unsqueeze(-1), pair, composed)
        seen = (bought | has_facets) & self.shown & ~self._drawn(bought)
        fields = torch.where(seen.unsqueeze(-1), self.adapter(code) + self.polarity, self.missing)
        return fields, seen.float(), distillation

    def _drawn(self, like: Tensor) -> Tensor:
        """True with the dropout's probability in training, else False."""
        if not self.training:
            return torch.zeros_like(like)
        return torch.rand(like.shape, device=like.device) < self.dropout


def _distillation(composed: Tensor, pair: Tensor, both: Tensor) -> Tensor:
    """MSE + (1 - cos) of composed against bought codes, mean over the codes where there are both; else 0."""
    distance = ((composed - pair) ** 2).mean(-1) + 1 - functional.cosine_similarity(composed, pair, dim=-1)
    return (distance * both).sum() / both.sum().clamp(min=1)


class FieldAttention(nn.Module):
    """Multi-head attention over the K fields, residual and LayerNorm (section 3.4)."""

    def __init__(self, d: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.out, self.norm = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.LayerNorm(d)
        self.name = nn.Parameter(torch.randn(len(FIELDS), d) * 0.05)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z' (B, K, d) and the weight of each field, mean over heads and queries (B, K)."""
        n, k, d = z.shape
        z = z + self.name
        q, key, value = self.qkv(z).view(n, k, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)  # (B, heads, K, d/heads)
        weights = (q @ key.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)  # A: (B, heads, K, K)
        mixed = (weights @ value).transpose(1, 2).reshape(n, k, d)
        return self.norm(z + self.out(mixed)), weights.mean((1, 2))


class LRRecsysNetwork(nn.Module):
    """Six fields -> attention over fields -> MLP -> stars and liking, on top of damped means (section 3.4)."""

    def __init__(self, config: LRRecsysConfig, preparation: Preparation) -> None:
        super().__init__()
        d = config.embedding_size
        width = len(FIELDS) * d + 2 + len(_PAIRS[0])
        self.entities, self.history = Entities(config, preparation), History(d)
        self.reasons, self.fusion = Reasons(config), FieldAttention(d, config.n_heads)
        layers: list[nn.Module] = []
        for size in config.hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(config.dropout)]
            width = size
        self.mlp, self.head = nn.Sequential(*layers), nn.Linear(width, 2)
        nn.init.normal_(self.head.weight, std=0.01)  # a new network says what the damped means say
        nn.init.zeros_(self.head.bias)
        self.trust = nn.Parameter(torch.ones(N_PRIORS))
        self.consumer_bias = nn.Embedding(len(preparation.consumers) + 1, 2)
        self.product_bias = nn.Embedding(len(preparation.products) + 1, 2)
        for table in (self.consumer_bias, self.product_bias):
            nn.init.zeros_(table.weight)
        self.means = (preparation.mean_rating, preparation.liked_share)

    def forward(self, inputs: Inputs) -> Output:
        consumer, product, context, consumer_id, product_id = self.entities(inputs)
        history = self.history(product, self.entities.product(inputs.history), inputs)
        reasons, seen, distillation = self.reasons(inputs)
        z = torch.cat([torch.stack([consumer, product, context, history], dim=1), reasons], dim=1)  # (B, K, d)
        fused, attention = self.fusion(z)
        dots = (z @ z.transpose(1, 2))[:, _PAIRS[0], _PAIRS[1]] / z.shape[-1] ** 0.5  # (B, K (K - 1) / 2)
        logits = self.head(self.mlp(torch.cat([fused.flatten(1), seen, dots], dim=1)))  # (B, 2)
        logits = logits + self.consumer_bias(consumer_id) + self.product_bias(product_id) + self._start(inputs)
        return Output(logits[:, 0].sigmoid(), logits[:, 1], attention, distillation)

    def _start(self, inputs: Inputs) -> Tensor:
        """Logits (B, 2) of the overall mean plus damped means of consumer and product: stars, liking."""
        shift = (inputs.priors * self.trust).view(-1, 2, 2).sum(-1)
        base = torch.tensor(self.means, device=shift.device) + shift
        return base.clamp(0.02, 0.98).logit()


@register("lr_recsys", LRRecsysConfig)
class LRRecsys(Recommender):
    """The method behind the shared interface."""

    config: LRRecsysConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._preparation: Preparation | None = None
        self._network: LRRecsysNetwork | None = None

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Learns from `train`, keeps the epoch with the lowest rating + liking loss on `valid`."""
        if not len(train) or not len(valid):
            raise TrainingError(
                f"There are {len(train)} training and {len(valid)} validation rows; both must have some.",
                remedy="Check the split of the recipe.",
            )
        self._preparation = Preparation.learn(train, self.scale, self.config.damping)
        with seeded(run.seed):
            self._network = LRRecsysNetwork(self.config, self._preparation).to(run.device)
            learn, check = self._examples(train, run.device), self._examples(valid, run.device)
            report = fit_module(
                self._network,
                len(train),
                lambda rows: self._loss(*learn, rows, self.config.lambda_distil),
                lambda: self._valid_loss(*check),
                self._loop(),
                run,
            )
        self._network.cpu()
        return report

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars, probability of liking, and the attention on each field."""
        preparation, network = self._fitted()
        if not len(batch):
            nothing = np.zeros(0, np.float32)
            return Scores(nothing, nothing, FIELDS, np.zeros((0, len(FIELDS)), np.float32))
        inputs = preparation.inputs(batch)
        with torch_threads(1), torch.inference_mode():
            parts = [network(inputs.rows(rows)) for rows in torch.split(torch.arange(len(batch)), CHUNK)]
        rating = torch.cat([part.rating for part in parts]).numpy()
        click = torch.cat([part.click for part in parts]).sigmoid().numpy()
        stars = self.scale.low + rating * (self.scale.high - self.scale.low)
        return Scores(stars.astype(np.float32), click, FIELDS, torch.cat([part.attention for part in parts]).numpy())

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors and vocabularies.json."""
        from safetensors.torch import save_file

        preparation, network = self._fitted()
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "weights.safetensors")
        preparation.save(folder)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        method = cls(config, scale)
        method._preparation = Preparation.load(folder, scale)
        method._network = LRRecsysNetwork(method.config, method._preparation).eval()
        try:
            method._network.load_state_dict(load_file(folder / "weights.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ReleaseError(
                f"The weights in {folder} do not fit the config: {error}.",
                remedy="Train and save the model again.",
            ) from error
        return method

    def _examples(self, examples: TrainingSet, device: str) -> tuple[Inputs, Tensor, Tensor]:
        """Features and targets on the device, converted once: inputs, rating 0..1 (N,), liked (N,)."""
        preparation, _ = self._fitted()
        rating = torch.from_numpy(unit_rating(examples.rating, self.scale)).to(device)
        liked = torch.from_numpy(np.asarray(examples.liked, np.float32)).to(device)
        return preparation.inputs(examples.batch).to(device), rating, liked

    def _loss(self, inputs: Inputs, rating: Tensor, liked: Tensor, rows: Tensor, lambda_distil: float) -> Tensor:
        """L = MSE(rating) + lambda_click BCE(liking) + lambda_distil L_distil."""
        output: Output = self._fitted()[1](inputs.rows(rows))
        loss = functional.mse_loss(output.rating, rating[rows])
        click = functional.binary_cross_entropy_with_logits(output.click, liked[rows])
        return loss + self.config.lambda_click * click + lambda_distil * output.distillation

    def _valid_loss(self, inputs: Inputs, rating: Tensor, liked: Tensor) -> float:
        """Mean rating + liking loss over all rows, without distillation."""
        parts = torch.split(torch.arange(len(rating), device=rating.device), CHUNK)
        total = sum(self._loss(inputs, rating, liked, rows, 0.0).item() * len(rows) for rows in parts)
        return total / len(rating)

    def _loop(self) -> LoopSettings:
        c = self.config
        return LoopSettings(
            c.epochs, c.patience, c.batch_size, c.learning_rate, c.weight_decay, label=f"train {self.name}"
        )

    def _fitted(self) -> tuple[Preparation, LRRecsysNetwork]:
        if self._preparation is None or self._network is None:
            raise TrainingError("lr_recsys was asked to score before it was fitted.", remedy="Call fit or load first.")
        return self._preparation, self._network
