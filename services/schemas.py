"""What the service takes and gives, as JSON. Limits are here, so that the documentation and the check are one.

What an answer holds by the hundred is a dataclass: it is made here and valid, and a pydantic model of it takes several
times as long to make. BentoML's OpenAPI writer takes `example` of a model, not `examples` (a TypeError in 1.4.39).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from features.batch import HISTORY_LENGTH, N_FACETS
from features.types import Stance
from models.explanations.what_if import FacetChange, NewFacet
from services.rules import Name, Rule

MAX_K = 100
MAX_PRODUCTS = 1000
NONE, EXPIRED = "none", "expired"
"""Granularities of a side of which nothing can be said."""
MAX_CHOICES = 20
"""Boosts, and pins, of one request."""
CONTENT = "content"
"""Diversity by the likeness of texts."""
MAX_BOOST = 10.0
MAX_SECONDS = 8.0
"""Of a live explanation; less than the service's own deadline."""

Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, description="How long live explanations may take.")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def number(value: float) -> float | None:
    """JSON has no NaN: null stands for it."""
    return float(value) if math.isfinite(value) else None


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class PastRating(_Request):
    """One product an anonymous visitor has rated, in this request only; nothing of it is kept."""

    product_id: Id
    rating: float = Field(allow_inf_nan=False, description="Stars on the dataset's scale.")


class _Choice(_Request):
    """Some products: named, or those a rule chooses."""

    product_ids: tuple[Id, ...] | None = Field(default=None, min_length=1, max_length=MAX_PRODUCTS)
    rule: Rule | None = None

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Products are named or described."""
        if (self.product_ids is None) == (self.rule is None):
            raise ValueError("give product_ids or a rule, and not both")
        return self


class Boost(_Choice):
    """Moves products up or down."""

    by: float = Field(
        ge=-MAX_BOOST,
        le=MAX_BOOST,
        description="Added to the log-odds of liking for the order alone; 0.7 is about twice the odds.",
    )


class Pin(_Choice):
    """Puts the best of some products at a rank."""

    rank: int = Field(ge=1, le=MAX_K)


class Diversity(_Request):
    """Maximal marginal relevance: the more likeness costs, the more varied the list."""

    model_config = ConfigDict(populate_by_name=True)

    lambda_: float = Field(alias="lambda", ge=0, le=1, description="1: relevance alone. 0: variety alone.")
    by: Name = Field(default=CONTENT, description="`content`: likeness of the texts. Else an attribute of the catalog.")


class _AboutConsumer(_Request):
    """May say what a known consumer's facets are, for its answer alone."""

    facets: tuple[FacetChange, ...] = Field(
        default=(),
        max_length=2 * N_FACETS,
        description="What if some facets of the consumer (`GET /v1/consumers/{id}`) had these weights, or said this? "
        "For this answer alone; texts written for a pair, which rest on the stored facets, then do not count.",
    )
    new_facets: tuple[NewFacet, ...] = Field(
        default=(),
        max_length=2 * N_FACETS,
        description=f"What if these were known of the consumer? At most {N_FACETS} facets of each stance count: a new "
        "one takes the place of one with the weight 0, or one that is free.",
    )
    seconds: Seconds = 5.0

    @property
    def changes_facets(self) -> bool:
        """Whether the answer rests on other facets than those that are stored."""
        return bool(self.facets or self.new_facets)

    @property
    def in_own_words(self) -> bool:
        """Whether the request says anything that only the text encoder can read."""
        return bool(self.new_facets) or any(it.text is not None for it in self.facets)

    def check_facets(self, live: bool) -> None:
        """Raises ValueError if a facet is changed twice, or is to be worded by a model that knows the stored ones."""
        if len({it.facet_id for it in self.facets}) < len(self.facets):
            raise ValueError("a facet is changed once")
        if live and self.changes_facets:
            raise ValueError("live explanations rest on the stored facets; ask for stored ones, or without facets")


class RecommendRequest(_AboutConsumer):
    """Asks for the k best products, for a known consumer or for an anonymous history."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "consumer_id": "1",
                "k": 5,
                "exclude_ids": ["50"],
                "filter": {"op": "in", "attribute": "genre", "values": ["Drama"]},
                "diversity": {"lambda": 0.7},
            }
        }
    )

    consumer_id: Id | None = None
    history: tuple[PastRating, ...] | None = Field(
        default=None, max_length=HISTORY_LENGTH, description="Latest first; in place of a consumer_id."
    )
    k: int = Field(default=10, ge=1, le=MAX_K)
    exclude_ids: tuple[Id, ...] = Field(default=(), max_length=MAX_PRODUCTS)
    exclude_seen: bool = Field(
        default=True, description=f"Leave out what the consumer's last {HISTORY_LENGTH} interactions were with."
    )
    filter: Rule | None = Field(default=None, description="Only products that it chooses, also of pins.")
    boosts: tuple[Boost, ...] = Field(default=(), max_length=MAX_CHOICES)
    pins: tuple[Pin, ...] = Field(default=(), max_length=MAX_CHOICES)
    diversity: Diversity | None = None
    explanations: Literal["none", "stored", "live"] = Field(
        default="stored",
        description="`stored`: what the release says. `live`: worded now by the language model. `none`: no reasons.",
    )
    contributions: bool = Field(default=False, description="Say what each part of the input adds to each score.")
    attributes: dict[Id, float] = Field(
        default_factory=dict,
        max_length=MAX_CHOICES,
        description="Levels, 1 to 10, that take the place of the consumer's own, by name; in this request only. "
        "Refused where the release's method has no attributes.",
    )

    @model_validator(mode="after")
    def one_source(self) -> RecommendRequest:
        """A stored and a given history would contradict each other."""
        if self.consumer_id is not None and self.history is not None:
            raise ValueError("give a consumer_id or a history, not both")
        if self.facets and self.consumer_id is None:
            raise ValueError("facets are those of a consumer_id")
        self.check_facets(live=self.explanations == "live")
        return self


class ScoreRequest(_Request):
    """Asks for the scores of given products, in the order given."""

    model_config = ConfigDict(json_schema_extra={"example": {"consumer_id": "1", "product_ids": ["50", "172"]}})

    consumer_id: Id
    product_ids: tuple[Id, ...] = Field(min_length=1, max_length=MAX_PRODUCTS)


class ExplainRequest(_AboutConsumer):
    """Asks why one consumer would like one product, and why not."""

    model_config = ConfigDict(json_schema_extra={"example": {"consumer_id": "1", "product_id": "50"}})

    consumer_id: Id
    product_id: Id
    explanations: Literal["stored", "live"] = Field(
        default="stored", description="`stored`: what the release says. `live`: worded now by the language model."
    )

    @model_validator(mode="after")
    def one_answer(self) -> ExplainRequest:
        """What cannot be answered together is refused."""
        self.check_facets(live=self.explanations == "live")
        return self


class FeedbackRequest(_Request):
    """Tells what a consumer thinks of a product."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"feedback_id": "order-17-rating", "consumer_id": "1", "product_id": "50", "rating": 4}
        }
    )

    feedback_id: Id = Field(description="Chosen by the caller: the same one twice is one rating.")
    consumer_id: Id
    product_id: Id
    rating: float = Field(allow_inf_nan=False, description="Stars on the dataset's scale.")
    recommendation_id: UUID | None = Field(default=None, description="Of the answer that led to it, if one did.")


class FeedbackResponse(_Response):
    """What was kept. The next answer for this consumer knows it; the lake does from the next refresh on."""

    feedback_id: str
    stored: bool = Field(description="False if this feedback was there already.")
    release_id: str


class ConsumersResponse(_Response):
    """Consumers of whom the release says something."""

    consumer_ids: tuple[str, ...]
    more: bool = Field(description="Whether there are others that begin so.")


class ForgetResponse(_Response):
    """What was done about a consumer who wants to be forgotten."""

    effective_at: AwareDatetime = Field(description="No answer uses anything of this consumer from here on.")
    remaining: tuple[str, ...] = Field(description="Where something may lie until when.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactOut:
    """A statement that a reason rests on."""

    fact_id: str
    text: str
    source: str
    evidence_time: Annotated[AwareDatetime | None, Field(description="Null for what the catalog says.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One side of the argument. `text` is empty where nothing is known, or nothing recent enough (`granularity`)."""

    stance: Stance
    text: str
    fact_ids: tuple[str, ...]
    facts: tuple[FactOut, ...]
    evidence_time: Annotated[
        AwareDatetime | None, Field(description="Of the latest evidence; null for the catalog alone.")
    ]
    evidence_age_seconds: Annotated[float | None, Field(description="How old the latest of the evidence is.")]
    granularity: Annotated[
        str,
        Field(
            description=f"`pair`: written for this pair. `entity`: composed. `{NONE}`: nothing known. "
            f"`{EXPIRED}`: what is known rests on evidence past the age limit."
        ),
    ]
    model: str


class Taste(_Response):
    """A facet of a consumer: an attractor (`for`) or an aversion (`against`)."""

    facet_id: str
    stance: Stance
    text: str
    weight: float
    model: str
    facts: tuple[FactOut, ...]
    evidence_age_seconds: float | None


class Had(_Response):
    """A product of the consumer's history."""

    product_id: str
    title: str | None
    rating: float | None


class ConsumerResponse(_Response):
    """What is known of one consumer."""

    consumer_id: str
    release_id: str
    as_of: AwareDatetime
    interactions: int = Field(description="How many are known.")
    mean_rating: float | None
    history: tuple[Had, ...] = Field(description=f"The last {HISTORY_LENGTH}, latest first.")
    tastes: tuple[Taste, ...] = Field(description="Attractors, then aversions.")
    places: int = Field(description="How many of each count at most: new ones need a place.")


@dataclass(frozen=True, slots=True)
class FieldAttention:
    """How much of the ranker's attention one input field got; over all fields it adds up to 1."""

    field: str
    share: float


class Contribution(_Response):
    """What a part of the input adds to the probability of liking: the score, less the score with the part missing.

    Parts work together, so that contributions do not add up to the score. Of a method that is a sum, `log_odds` do.
    """

    part: str
    click: float
    log_odds: float | None = Field(
        default=None, description="The part's exact share of the log-odds of liking; null where the method is no sum."
    )


class AttributeOut(_Response):
    """How much one attribute of products counts for the consumer."""

    name: str
    description: str = Field(description="What the level says, after `how`.")
    level: float = Field(description="1 to 10: the level asked for, or the consumer's own.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductScore:
    """Scores of one product for one consumer; null where there is none, and then `note` says why."""

    product_id: str
    title: str | None = None
    rating: Annotated[float | None, Field(description="Predicted stars on the dataset's scale.")]
    click: Annotated[
        float | None, Field(description="Probability of liking it, 0 to 1, calibrated on held-out ratings.")
    ]
    attention: tuple[FieldAttention, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended(ProductScore):
    """A ranked product with both sides of its argument."""

    rank: int
    model_rank: Annotated[int, Field(description="Where the model alone would have put it.")]
    moved_by: Annotated[
        tuple[str, ...],
        Field(description="Of `boost`, `diversity` and `pin`, what changed its rank, also by moving another past it."),
    ]
    reasons: Annotated[tuple[Reason, ...], Field(description="For, then against; empty if none were asked for.")]
    reasons_note: Annotated[str | None, Field(description="Why live ones are not given, if they were asked for.")] = (
        None
    )
    contributions: Annotated[tuple[Contribution, ...], Field(description="If asked for.")] = ()


class Answer(_Response):
    """What every answer says about itself."""

    recommendation_id: str = Field(description="Names this answer, in feedback and in the log; later ones sort later.")
    release_id: str
    method: str
    as_of: AwareDatetime = Field(description="What the release knows is strictly earlier.")
    evidence_time: AwareDatetime | None = Field(description="Last event known of the consumer.")
    evidence_age_seconds: float | None = Field(description="Since that event.")
    answered_at: AwareDatetime
    degraded: bool = Field(description="Something failed and the answer is poorer than it should be.")
    cause: str | None = Field(description="What failed, if degraded.")
    cold: bool = Field(description="Nothing is known of the consumer: product side and popularity only.")


class RecommendResponse(Answer):
    """The best products, best first."""

    items: tuple[Recommended, ...]
    considered: int = Field(description="Products that could have been shown.")
    attributes: tuple[AttributeOut, ...] = Field(
        default=(), description="Levels that the answer rests on; empty if the method has no attributes."
    )
    ranked: int = Field(description="Of those, what the model scored: the best by a cheap guess where there are many.")
    unmatched: tuple[str, ...] = Field(
        default=(), description="Boosts and pins that found no product, such as `pins[0]`: filtered, seen or unknown."
    )


class ScoreResponse(Answer):
    """Scores in the order of the request's products."""

    items: tuple[ProductScore, ...]


class PreferenceMet(_Response):
    """A preference of the consumer, what it weighed in the ranking, and how well the product meets it."""

    text: str
    weight: float = Field(description="The ranker's attention on it, 0 to 1.")
    example: str = Field(description="Step 1: what of the history shows it.")
    fitness: float = Field(description="0 to 1.")
    reason: str = Field(description="Step 2: the fitness in words.")


class StepsOut(_Response):
    """A recommendation in four steps, on the weights that acted in the ranking."""

    preferences: tuple[PreferenceMet, ...] = Field(description="Heaviest first.")
    met: float = Field(description="Sum of weight times fitness.")
    chance: Literal["low", "medium", "high"] = Field(description="Step 3: the sum in a word.")
    combined: str = Field(description="Step 3 in words.")
    recommendation: str = Field(description="Step 4.")
    model: str = Field(description="Who worded it.")
    note: str | None = Field(default=None, description="Why the language model did not word them, if it was asked.")


class ExplainResponse(Answer):
    """Scores and both sides of the argument of one pair."""

    item: ProductScore
    reasons: tuple[Reason, ...] = Field(description="For, then against.")
    note: str | None = Field(default=None, description="Why live ones are not given, if they were asked.")
    steps: StepsOut | None = Field(
        default=None, description="Four steps, where the method weighs the consumer's preferences (`lane`)."
    )


class ProductArgument(_Response):
    """One thing that speaks for or against a product, whoever asks."""

    stance: Stance
    text: str
    weight: float
    model: str
    facts: tuple[FactOut, ...]
    evidence_age_seconds: float | None


class TasteMet(_Response):
    """An aspect of the product, and how many consumers are known to like or dislike such; 0 is also fewer than two."""

    aspect: str
    attracted: int
    repelled: int


class InsightsResponse(_Response):
    """What speaks for and against one product over all consumers."""

    product_id: str
    title: str
    release_id: str
    as_of: AwareDatetime
    ratings: int = Field(description="How many there are.")
    mean_rating: float | None
    arguments: tuple[ProductArgument, ...] = Field(description="For, then against; the weightiest first.")
    tastes: tuple[TasteMet, ...] = Field(description="Those of most consumers first.")
