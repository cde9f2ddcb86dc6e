"""LR-Recsys: contrastive explanations as inputs of a neural recommender.

Source: Wang, Pan, Chen, "The Blessing of Reasoning: LLM-Based Contrastive Explanations in Black-Box Recommender
Systems", arXiv 2502.16759 (v1). A language model says why a consumer would like a product and why not; both texts
become codes; the codes are two more fields of the ranking network, so reasons are part of the prediction.

Deviations from the paper, all ours:
- entity granularity: where no text was bought for a pair, a composer makes its code from the facets of the consumer
  and of the product (U + I texts instead of U x I) and is distilled from the bought codes;
- explanation dropout: a code is sometimes replaced by a learned "missing" vector, so bought, composed and absent
  reasons are interchangeable when serving;
- one network with two heads (stars by MSE on 0..1, liking by BCE), each starting from what a Bayesian factorization of
  the ratings believes (`models/backbones/collaborative.py`), so that the network only learns what ratings alone do not
  say; training rows get the belief of a factorization that did not see them;
- beside the attention over facets, which says which of them meet, the network counts how many come how near: met
  reasons add to the score as directly as the belief does (`models/backbones/closeness.py`);
- the network also sees how sure that belief is, and the dot products of the fields, without which few rows do not teach
  it who goes with what;
- the joint stage of the autoencoder trains layers on top of the stored encoder, which belong to the ranker, and is off
  by default (`models/backbones/joint.py`);
- ids are sometimes dropped in training, so that unknown consumers and products are normal cases;
- several members are trained together and their mean is the score; liking is calibrated on the validation rows (Platt),
  and so is how far the stars follow the network away from that belief; before, the mean chance of its training rows is
  made what it was.

Not covered: fine-tuning the language model (RecPIE).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from features.batch import (
    CONSUMER_NUMERIC,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    PRODUCT_NUMERIC,
    FeatureBatch,
    ProductBlock,
    TrainingSet,
)
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale, content_hash
from features.vocabulary import UNKNOWN
from models.backbones.calibration import level, platt, share_of_step
from models.backbones.closeness import N_KERNELS
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.backbones.factorization import Belief
from models.backbones.fusion import Backend, FieldAttention, make_backend
from models.backbones.ground import Ground, kept_ground
from models.backbones.held import HeldInputs
from models.backbones.inputs import RATING_BUCKETS, Events, Inputs
from models.backbones.outcome import log_odds
from models.backbones.preparation import N_BELIEF, N_TIME, Preparation, unit_rating
from models.backbones.reasons import Reasons, Shown
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.held import Held
from models.members import Members
from models.threads import torch_threads
from models.training import LoopSettings, fit_epochs, fit_module, require_rows, seeded

FIELDS = ("consumer", "product", "context", "history", "e_plus", "e_minus")
"""The K fields of the fusion network, in order."""
CHUNK = 4096
MET = 10.0
"""What met facets are multiplied with: so few weights must get far in the few steps that the network takes."""


class LRRecsysConfig(MethodConfig):
    """Widths, regularisation and training."""

    embedding_size: int = 32
    """d: width of every field."""
    n_heads: int = 2
    backend: Backend = "mlp"
    """What turns the fields into a score: `mlp`, `deepfm`, `dcn` (DCN-v2) or `din` (MLP, with DIN's attention unit over
    the history)."""
    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.2
    members: int = 1
    """Networks that are trained together; the score is their mean."""
    collaborative: CollaborativeConfig = CollaborativeConfig()
    """What the ratings alone say."""
    explanation_dropout: float = 0.2
    """p: how often a code is replaced by "missing" in training, and a bought code by the composed one."""
    id_dropout: float = 0.1
    """How often an id is replaced by "unknown" in training."""
    explanations: Shown = "full"
    """Which codes are seen; the number of parameters is the same for all."""
    lambda_click: float = 0.1
    """Weight of the liking loss beside the rating loss."""
    lambda_distil: float = 0.1
    """Weight of making composed codes like bought ones."""
    joint: float = 0.0
    """lambda_rec: weight of leading back to the stored codes, where codes are trained on with the ranker (3.2); 0 reads
    them as they are stored."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    batch_size: int = 1024
    epochs: int = 30
    patience: int = 4


class Output(NamedTuple):
    """What the network says of B pairs."""

    rating: Tensor  # (B,) 0..1
    click: Tensor  # (B,) logit
    attention: Tensor  # (B, K)
    distillation: Tensor  # () loss of composed codes against bought ones
    reconstruction: Tensor  # () loss of stored codes from jointly trained ones
    """Of `Members`, each has a leading axis of members."""


class Entities(nn.Module):
    """Consumer and product fields: id embedding + what is known of it (section 3.3)."""

    def __init__(self, config: LRRecsysConfig, preparation: Preparation) -> None:
        super().__init__()
        d = config.embedding_size
        self.id_dropout = config.id_dropout
        self.consumer = nn.Embedding(len(preparation.consumers), d)
        self.product = nn.Embedding(len(preparation.products), d)
        self.attributes = nn.Embedding(len(preparation.attributes), d)
        self.consumer_numeric = nn.Linear(2 * len(CONSUMER_NUMERIC), d)
        self.product_numeric = nn.Linear(2 * len(PRODUCT_NUMERIC), d)
        self.content = nn.Linear(CONTENT_WIDTH, d)
        self.context = nn.Sequential(nn.Linear(N_TIME, d), nn.GELU(), nn.Linear(d, d))
        for table in (self.consumer, self.product, self.attributes):
            nn.init.normal_(table.weight, std=0.2)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Fields (B, d) of consumer, product and context; of one consumer, theirs and the context are (1, d)."""
        consumer, product = self._drop(inputs.consumer), self._drop(inputs.product)
        u = self.consumer(consumer) + self.consumer_numeric(inputs.consumer_numeric)
        i = self.product(product) + self.product_numeric(inputs.product_numeric)
        content, attributes = inputs.distinct["content_row"], inputs.distinct["attribute_row"]
        i = i + content.each(self.content(content.values)) + attributes.each(self._attributes(attributes.values))
        return u, i, self.context(inputs.time)

    def _attributes(self, numbers: Tensor) -> Tensor:
        """Mean of the attributes' embeddings: (D, d) from (D, A), 0 = none."""
        mean: Tensor = functional.embedding_bag(numbers, self.attributes.weight, mode="mean", padding_idx=UNKNOWN)
        return mean

    def _drop(self, ids: Tensor) -> Tensor:
        if not self.training:
            return ids
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.id_dropout, 0)


class History(nn.Module):
    """Attention over the last L products, with the target product as query (section 3.3).

    A scaled dot product matches event and target; for the back end `din` DIN's activation unit does: a small network on
    the event, the target, their difference and their product (Zhou et al., KDD 2018, section 4.3).
    """

    def __init__(self, d: int, activation_unit: bool) -> None:
        super().__init__()
        self.unit = nn.Sequential(nn.Linear(4 * d, 36), nn.GELU(), nn.Linear(36, 1)) if activation_unit else None
        self.rating, self.place = nn.Embedding(RATING_BUCKETS, d), nn.Embedding(HISTORY_LENGTH, d)
        self.query, self.key, self.value = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.empty = nn.Parameter(torch.zeros(d))
        for table in (self.rating, self.place):
            nn.init.normal_(table.weight, std=0.05)

    def forward(self, target: Tensor, products: nn.Embedding, inputs: Inputs) -> Tensor:
        """(B, d) from the target (B, d) and the embeddings of all products."""
        events, mask = inputs.events, inputs.history_mask
        known_as, rating = products(events.products), self.rating(events.rating)
        # An event is made once, however many histories it is in.
        match = self._match(self.query(target), self.key(known_as).index_select(0, events.product) + rating, events)
        known = mask.any(1, keepdim=True)
        match = match.masked_fill(~mask & known, -torch.inf)  # an empty history stays finite and is replaced below
        told = self.value(known_as).index_select(0, events.product) * (1 + rating)  # (E, d)
        return torch.where(known, events.seen.sums(match.softmax(-1), told), self.empty)

    def _match(self, target: Tensor, keys: Tensor, events: Events) -> Tensor:
        """(B, L) from (B, d) and the keys of events (E, d), without their places."""
        seen, place = events.seen, self.place.weight[: events.seen.place.shape[1]]
        if self.unit is None:
            return (seen.dots(target, keys) + target @ place.T) / target.shape[-1] ** 0.5
        event = keys.index_select(0, seen.place.flatten()).view(*seen.place.shape, -1) + place  # (B or 1, L, d)
        event = event.expand(len(target), *event.shape[1:])
        target = target.unsqueeze(1).expand_as(event)
        matched: Tensor = self.unit(torch.cat([event, target, event - target, event * target], dim=-1)).squeeze(-1)
        return matched


class LRRecsysNetwork(nn.Module):
    """Six fields -> attention over fields -> back end -> stars and liking, on top of the belief (section 3.4).

    A network with methods beneath it has a field more for each (`told`), and starts from them too (`start`).
    """

    def __init__(self, config: LRRecsysConfig, preparation: Preparation, n_beneath: int = 0) -> None:
        super().__init__()
        d, n_fields, n_numbers = config.embedding_size, len(FIELDS) + n_beneath, 2 + N_BELIEF + 2 * n_beneath
        self.entities, self.history = Entities(config, preparation), History(d, config.backend == "din")
        reasons = Reasons(d, config.explanations, config.explanation_dropout, config.joint > 0)
        self.reasons, self.fusion = reasons, FieldAttention(n_fields, d, config.n_heads)
        self.backend = make_backend(config.backend, n_fields, d, n_numbers, config.hidden, config.dropout)
        self.met = nn.Parameter(torch.zeros(2 * N_KERNELS, 2))
        self.trust = nn.Parameter(torch.ones(2))

    def forward(self, inputs: Inputs) -> Output:
        consumer, product, context = self.entities(inputs)
        history = self.history(product, self.entities.product, inputs)
        reasons = self.reasons(inputs)
        # Of one consumer, what is theirs alone has one row so far.
        fields = [consumer.expand_as(product), product, context.expand_as(product), history]
        z = torch.cat([torch.stack(fields, dim=1), reasons.fields, *self.told(inputs)], dim=1)  # (B, K, d)
        fused, attention = self.fusion(z)
        logits = self.backend(z, fused, torch.cat([reasons.seen, inputs.belief, inputs.told.flatten(1)], dim=1))
        logits = logits + self.start(inputs) + MET * reasons.closeness @ self.met  # (B, 2)
        return Output(logits[:, 0].sigmoid(), logits[:, 1], attention, reasons.distillation, reasons.reconstruction)

    def told(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Fields (B, F, d) of the methods beneath: here none."""
        return ()

    def start(self, inputs: Inputs) -> Tensor:
        """Logits (B, 2) that the network's own are added to."""
        return self.trust * inputs.belief[:, :2]


class Examples(NamedTuple):
    """N rows to learn from."""

    inputs: Inputs
    rating: Tensor  # (N,) 0..1
    liked: Tensor  # (N,) 0 or 1


class Fit(NamedTuple):
    """Everything that fitting made."""

    preparation: Preparation
    collaborative: Collaborative
    network: Members
    level: Tensor  # () added to the liking logits
    calibration: Tensor  # (2,) then scale and shift
    followed: Tensor  # () how far the stars follow the network away from where it starts, 0..1


@register("lr_recsys", LRRecsysConfig)
class LRRecsys(Recommender):
    """The method behind the shared interface."""

    config: LRRecsysConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._fit: Fit | None = None
        self._ground: Ground | None = None

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Learns from `train`, keeps each member's epoch with the lowest rating + liking loss on `valid`."""
        return self.fit_like(None, train, valid, run)

    def fit_like(self, other: Recommender | None, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """As `fit`, with the other one's ground if that is of the same rows and settings."""
        _check_rows(train, valid)
        known = other._ground if isinstance(other, LRRecsys) else None
        if known is None or known.rows is not train or known.config != self.config.collaborative:
            known = self.ground(train, run)
        self._ground = known
        return self.fit_from(known, train, valid, run)

    def ground(self, train: TrainingSet, run: RunContext) -> Ground:
        """What the training ratings alone say; kept where half-done trainings are."""
        config = self.config.collaborative

        def make() -> Ground:
            with seeded(run.seed):
                return Ground(*Collaborative.fit(train, config, run), config, train)

        if run.state is None:
            return make()
        name = content_hash(config.model_dump(), run.seed)[:16]
        return kept_ground(run.state / f"ground-{name}", make, train, config)

    def fit_from(self, ground: Ground, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """As `fit`, from what `ground` made of the same training rows."""
        preparation = Preparation.learn(train, self.scale)
        with seeded(run.seed):
            network = self._members(preparation).to(run.device)
            learn = self._examples(preparation, train, ground.held_out, run.device)
            check = self._examples(preparation, valid, ground.model.believe(valid.batch), run.device)
            report = fit_module(
                network,
                len(train),
                lambda rows: self._lesson(network, learn, rows),
                lambda: self._mean_loss(network, check),
                self._loop(self.config.epochs),
                run,
            )
            levelled = self._level(network, learn)
            calibration, followed = self._calibrated(network, levelled, check)
        self._fit = Fit(preparation, ground.model, network.cpu(), levelled, calibration, followed)
        return report

    def refit_from(self, ground: Ground, examples: TrainingSet, epochs: int, run: RunContext) -> None:
        """Fits again on other rows (training and validation rows together) for as many epochs as proved best.

        What was calibrated stays, since no row is left to make it from; but the network's level is its own, since where
        its last steps leave it differs from fit to fit by as much as three in a hundred.
        """
        preparation, before = Preparation.learn(examples, self.scale), self._fitted()
        with seeded(run.seed):
            network = self._members(preparation).to(run.device)
            learn = self._examples(preparation, examples, ground.held_out, run.device)
            fit_epochs(
                network,
                len(examples),
                lambda rows: self._lesson(network, learn, rows),
                self._loop(epochs),
                run,
            )
            levelled = self._level(network, learn)
        self._fit = Fit(preparation, ground.model, network.cpu(), levelled, before.calibration, before.followed)

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars, probability of liking, and the attention on each field: means over the members."""
        return _mean(self.score_members(batch))

    def hold(self, products: ProductBlock) -> Held:
        """The products' vectors and inputs are made once; the network sees those that are asked for."""
        return self._held(products)

    def _held(self, products: ProductBlock) -> HeldInputs:
        fit = self._fitted()
        return HeldInputs(fit.preparation, fit.collaborative, lambda inputs: _mean(self._scored(inputs)), products)

    def score_members(self, batch: FeatureBatch) -> list[Scores]:
        """The scores of each member by itself."""
        fit = self._fitted()
        if not len(batch):
            nothing = np.zeros(0, np.float32)
            empty = Scores(nothing, nothing, self.fields, np.zeros((0, len(self.fields)), np.float32))
            return [empty] * self.config.members
        with torch_threads(1), torch.inference_mode():
            return self._scored(self._inputs(fit.preparation, batch, fit.collaborative.believe(batch)))

    def _scored(self, inputs: Inputs) -> list[Scores]:
        """Of each member, the scores of the rows."""
        fit = self._fitted()
        parts = [fit.network(part) for part in inputs.chunks(CHUNK)]
        start = inputs.belief[:, 0].sigmoid()
        rating = start + fit.followed * (torch.cat([part.rating for part in parts], dim=1) - start)
        click = torch.cat([part.click for part in parts], dim=1) + fit.level
        click = click * fit.calibration[0] + fit.calibration[1]
        attention = torch.cat([part.attention for part in parts], dim=1)
        stars = self.scale.low + rating * (self.scale.high - self.scale.low)
        members = range(self.config.members)
        return [
            Scores(stars[m].numpy(), click[m].sigmoid().numpy(), self.fields, attention[m].numpy()) for m in members
        ]

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors, vocabularies.json and what `Collaborative.save` writes."""
        from safetensors.torch import save_file

        fit = self._fitted()
        weights = {name: value.contiguous() for name, value in fit.network.state_dict().items()}
        calibrated = {"level": fit.level, "calibration": fit.calibration, "followed": fit.followed}
        save_file({**weights, **calibrated}, folder / "weights.safetensors")
        fit.preparation.save(folder)
        fit.collaborative.save(folder)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        method = cls(config, scale)
        preparation, collaborative = Preparation.load(folder, scale), Collaborative.load(folder)
        network = method._members(preparation).eval()
        try:
            weights = load_file(folder / "weights.safetensors")
            calibrated = [weights.pop(name) for name in ("level", "calibration", "followed")]
            network.load_state_dict(weights)
        except (OSError, RuntimeError, KeyError, SafetensorError) as error:
            raise ReleaseError(
                f"The weights in {folder} do not fit the config: {error}.",
                remedy="Train and save the model again.",
            ) from error
        method._fit = Fit(preparation, collaborative, network, *calibrated)
        return method

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the fusion network, in order."""
        return FIELDS

    def _inputs(self, preparation: Preparation, batch: FeatureBatch, belief: Belief) -> Inputs:
        """What the network is given of rows that no weight was fitted to."""
        return preparation.inputs(batch, belief)

    def _members(self, preparation: Preparation) -> Members:
        return Members(lambda: LRRecsysNetwork(self.config, preparation), self.config.members)

    def _examples(self, preparation: Preparation, examples: TrainingSet, belief: Belief, device: str) -> Examples:
        """Features and targets on the device, converted once."""
        return Examples(
            self._lessons(preparation, examples, belief).to(device),
            torch.from_numpy(unit_rating(examples.rating, self.scale)).to(device),
            torch.from_numpy(np.asarray(examples.liked, np.float32)).to(device),
        )

    def _lessons(self, preparation: Preparation, examples: TrainingSet, belief: Belief) -> Inputs:
        """What the network is given of rows to learn from, or to choose an epoch by."""
        return self._inputs(preparation, examples.batch, belief)

    def _lesson(self, network: nn.Module, examples: Examples, rows: Tensor) -> Tensor:
        """L = L_prediction + lambda_distil L_distil + lambda_rec L_rec: (M,), each member's mean over rows."""
        output: Output = network(examples.inputs.rows(rows))
        codes = self.config.lambda_distil * output.distillation + self.config.joint * output.reconstruction
        return self._loss(output, examples, rows) + codes

    def _loss(self, output: Output, examples: Examples, rows: Tensor) -> Tensor:
        """L_prediction = MSE(rating) + lambda_click BCE(liking): (M,)."""
        loss = (output.rating - examples.rating[rows]).square().mean(-1)
        liked = examples.liked[rows].expand_as(output.click)
        click = functional.binary_cross_entropy_with_logits(output.click, liked, reduction="none").mean(-1)
        return loss + self.config.lambda_click * click

    def _mean_loss(self, network: nn.Module, examples: Examples) -> Tensor:
        """L_prediction (M,) over all rows."""
        parts = torch.split(torch.arange(len(examples.rating), device=examples.rating.device), CHUNK)
        losses = [self._loss(network(examples.inputs.rows(rows)), examples, rows) * len(rows) for rows in parts]
        return torch.stack(losses).sum(0) / len(examples.rating)

    def _level(self, network: nn.Module, examples: Examples) -> Tensor:
        """What () the liking logits of the rows it learned from are off by, in the mean."""
        return level(self._said(network, examples)[1].cpu(), examples.liked.cpu())

    def _calibrated(self, network: nn.Module, levelled: Tensor, examples: Examples) -> tuple[Tensor, Tensor]:
        """Platt's scale and shift (2,) of the levelled liking logits, and how far () the stars follow the network.

        Both from rows that no weight was fitted to. Training rows cannot say the latter: what is believed of them was
        made without their fold, so that on sparse data the network learns to put right more than there is elsewhere.
        """
        stars, click = self._said(network, examples)
        followed = share_of_step(examples.inputs.belief[:, 0].sigmoid(), stars, examples.rating)
        return platt(click.cpu() + levelled, examples.liked.cpu()), followed.cpu()

    @torch.no_grad()
    def _said(self, network: nn.Module, examples: Examples) -> tuple[Tensor, Tensor]:
        """Stars (N,) 0..1 and liking logits (N,) of the rows, means over the members."""
        network.eval()
        rows = torch.split(torch.arange(len(examples.rating), device=examples.rating.device), CHUNK)
        parts = [network(examples.inputs.rows(part)) for part in rows]
        stars, click = (torch.cat(said, dim=1).mean(0) for said in zip(*(part[:2] for part in parts), strict=True))
        return stars, click

    def _loop(self, epochs: int) -> LoopSettings:
        c = self.config
        return LoopSettings(
            epochs, c.patience, c.batch_size, c.learning_rate, c.weight_decay, label=f"train {self.name}"
        )

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise TrainingError("lr_recsys was asked to score before it was fitted.", remedy="Call fit or load first.")
        return self._fit


def _mean(members: list[Scores]) -> Scores:
    """Stars and attention are means; of liking the log odds are, which is what was calibrated."""
    if len(members) == 1:
        return members[0]
    rating, odds, attention = (
        np.stack(told).mean(0, dtype=np.float32)
        for told in zip(*((it.rating, log_odds(it.click), it.attention) for it in members), strict=True)
    )
    return Scores(rating, 1 / (1 + np.exp(-odds)), members[0].fields, attention)


def _check_rows(train: TrainingSet, valid: TrainingSet) -> None:
    require_rows(train, valid)
    if unknown := int((~np.isfinite(train.rating)).sum()):
        raise TrainingError(f"{unknown} of {len(train)} training ratings are not finite.", "All must be numbers.")
