"""Serving without a server: the live release in memory, its model, and a ladder that always answers.

Product features, texts and the model are held in memory; consumer and pair features are read from the online store
on every request, through the same assembly code as training. The ladder: all features; no consumer features if the
online store fails; popularity if the model fails; no reasons if they fail. Each step down is named in the answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.assemble import cross
from features.batch import FeatureBatch, PairBlock
from features.errors import InputError, StoreError
from features.inbox import Inbox
from features.settings import HostSettings, ShortlistSettings
from models.base import Recommender, Scores
from models.contributions import Added, contributions
from models.explanations.live import LiveExplainer
from models.explanations.own_words import OwnWords
from models.explanations.published import Published
from models.held import Held
from models.llm.client import TextEngine
from models.release import Release, ReleaseStore, ReleaseTexts
from models.released import live_release, open_artifact
from models.text import TextEncoder
from services.audit import Audit, Record
from services.explain import Reasons, Told
from services.profiles import Profiles
from services.reranking import Places, model_key, rerank
from services.schemas import (
    AttributeOut,
    Contribution,
    ExplainRequest,
    ExplainResponse,
    FeedbackRequest,
    FeedbackResponse,
    FieldAttention,
    ForgetResponse,
    ProductScore,
    Recommended,
    RecommendRequest,
    RecommendResponse,
    ScoreResponse,
    StepsOut,
    number,
)
from services.shelf import Shelf
from services.shortlist import shortlist
from services.sources import ANONYMOUS, OnlineFeatures
from services.stages import stage
from services.visit import Visit
from services.visitors import NO_CONSUMER, FeatureSource, Visitors
from services.wishes import Wishes

REMAINING = (
    "the lake and the online store: until the next `counterpoint refresh`",
    "releases made before: until they are deleted",
    "the ledger of the language model's answers, under keys that name nobody: not deleted",
    "the source: not ours to delete; it is left out of every reading",
)
"""Where something of a forgotten consumer may lie."""
logger = logging.getLogger(__name__)

UNKNOWN_PRODUCT = "unknown product"
NO_PAIR_TEXTS = "the online store did not give the codes of the pair texts"


class Runtime:
    """Answers questions about one release. Safe to call from several threads."""

    def __init__(
        self,
        release: Release,
        recommender: Recommender,
        features: FeatureSource,
        reasons: Reasons,
        titles: dict[str, str],
        inbox: Inbox,
        shortlists: ShortlistSettings | None = None,
        audit: Audit | None = None,
    ) -> None:
        """Reads the rows of all products of `titles`. Raises StoreError if the online store cannot be read."""
        self.release, self._recommender, self._features, self._reasons = release, recommender, features, reasons
        self._visitors = Visitors(features, inbox, release.scale)
        self._shelf = Shelf(features.products(list(titles)), titles)
        self._held = recommender.hold(self._shelf.products)
        self.profiles = Profiles(release, self._shelf, reasons, self._visitors)
        self._shortlists, self._audit = shortlists or ShortlistSettings(), audit

    @classmethod
    def open(
        cls,
        settings: HostSettings,
        artifact_folder: Path,
        spare: Callable[[FeatureSource], FeatureSource] | None = None,
    ) -> Runtime:
        """The live release, after its signature, its artifact's hash and its golden examples were checked.

        Args:
            settings: where its parts lie.
            artifact_folder: that of its artifact.
            spare: put before the reads of requests; by default nothing is.

        Raises:
            ReleaseError: There is no live release, or something of it was changed or scores differently here.
            StoreError: The online store cannot be read.
        """
        release = live_release(settings.releases)
        artifact = open_artifact(artifact_folder, release)
        texts = ReleaseStore(settings.releases).read_texts(release)
        features: FeatureSource = OnlineFeatures(settings, release)
        features = spare(features) if spare else features
        own_words = OwnWords(TextEncoder(threads=1), release.encoder, artifact.autoencoder)
        reasons = Reasons(texts, release.wording, _live(settings), settings.text_days, own_words)
        shortlists = ShortlistSettings.from_environment()
        audit = Audit(settings.audit, settings.audit_share)
        inbox, recommender = Inbox(settings.inbox), artifact.recommender
        return cls(release, recommender, features, reasons, titles_of(texts), inbox, shortlists, audit)

    def recommend(self, request: RecommendRequest) -> RecommendResponse:
        """The k best products with the reasons for and against each, best first.

        Raises:
            InputError: a rule names an attribute that no product has, a facet is changed that the consumer has not or
                said in words that cannot be coded here, or an attribute is set that the method does not know.
        """
        return self.answer(self._visitors.visit(request.consumer_id, request.history), request)

    def answer(self, visit: Visit, request: RecommendRequest) -> RecommendResponse:
        """As `recommend`, for someone who is known already."""
        self._imagine(visit, request)
        recommender = self._recommender.adjusted(request.attributes)
        held = self._held if recommender is self._recommender else recommender.hold(self._shelf.products)
        left_out = {*request.exclude_ids, *(visit.seen if request.exclude_seen else ())}
        with stage("candidates"):
            rows = self._shelf.candidates(request.filter, left_out)
            wishes = Wishes.of(request, self._shelf, rows)
        with stage("shortlist"):
            kept = self._shortlist(visit, rows, wishes, request.k, held)
        considered, rows, wishes = len(rows), rows[kept], wishes.take(kept)
        pairs = self._pairs(visit, rows)
        scores = self._score(visit, rows, pairs, held)
        with stage("order"):
            shown = rerank(model_key(scores), wishes.boost, wishes.spread, wishes.pins, request.k)
        places = [it.place for it in shown]
        added = self._contributions(visit, rows, pairs, places, recommender) if request.contributions else ()
        product_ids = [self._shelf.product_id(int(rows[place])) for place in places]
        told = self._argued(visit, product_ids, request.explanations, request.seconds)
        items = tuple(
            Recommended(
                **self._told(scores, it.place, int(rows[it.place])),
                rank=rank,
                model_rank=it.model_rank,
                moved_by=it.moved_by,
                reasons=said.reasons,
                reasons_note=said.note,
                contributions=added[rank - 1] if added else (),
            )
            for rank, (it, said) in enumerate(zip(shown, told, strict=True), start=1)
        )
        answer = RecommendResponse(
            items=items,
            considered=considered,
            ranked=len(rows),
            unmatched=wishes.unmatched,
            attributes=self._levels(visit, recommender),
            **visit.about(self.release),
        )
        # Words said once need not come again, and the record holds nobody's own.
        replayable = not answer.degraded and request.explanations != "live" and not request.in_own_words
        if self._audit and len(rows) and replayable and self._audit.wants_one():
            self._record(self._batch(visit, rows, pairs), request, answer)
        return answer

    def _imagine(self, visit: Visit, request: RecommendRequest | ExplainRequest) -> None:
        """Gives the consumer the facets that the request has."""
        nobody = bool(visit.causes) and visit.consumer_id == ANONYMOUS  # whose facets these are must not be known
        if not request.changes_facets or nobody:
            return
        visit.what_if = self._reasons.what_if(visit.consumer_id, request.facets, request.new_facets)
        visit.cold = visit.cold and not request.new_facets
        if not visit.causes:  # else the ranker is asked without anything of the consumer
            visit.consumer = replace(visit.consumer, block=visit.what_if.features(visit.consumer.block))

    def score(self, consumer_id: str, product_ids: Sequence[str]) -> ScoreResponse:
        """Scores of the products in the order given; an unknown product has none and says so."""
        visit = self._visitors.visit(consumer_id, None)
        items = self._items(visit, product_ids)
        return ScoreResponse(items=items, **visit.about(self.release))

    @property
    def product_ids(self) -> tuple[str, ...]:
        """Every product of the release."""
        return tuple(self._shelf.row)

    def score_strictly(
        self, consumer_id: str, product_ids: Sequence[str], at: datetime
    ) -> tuple[Scores, frozenset[str]]:
        """Scores as `score` gives them at that time, and the consumer's last products; without any step down.

        Args:
            consumer_id: an unknown one is a normal case.
            product_ids: all of them known.
            at: the time the question is asked.

        Raises:
            StoreError: the consumer's features could not be read, or the model failed.
        """
        visit = self._visitors.visit(consumer_id, None)
        visit.answered_at = at
        rows = np.array([self._shelf.row[product_id] for product_id in product_ids], np.intp)
        scores = self._score(visit, rows, self._pairs(visit, rows), self._held)
        if visit.causes:
            raise StoreError(
                f"The consumer {consumer_id!r} could not be scored: {'; '.join(visit.causes)}.",
                remedy="The log says why. Scores that lack features are not written; the same command goes on here.",
            )
        return scores, frozenset(visit.seen)

    def explain(self, request: ExplainRequest) -> ExplainResponse:
        """Scores and both reasons of one pair; a live answer that does not come falls back on the release's.

        Raises InputError: a facet is changed that the consumer has not, or said in words that cannot be coded here.
        """
        visit = self._visitors.visit(request.consumer_id, None)
        self._imagine(visit, request)
        (item,) = self._items(visit, [request.product_id])
        started, live = time.monotonic(), request.explanations == "live"
        (told,) = self._argued(visit, [request.product_id], request.explanations, request.seconds)
        left = max(0.0, started + request.seconds - time.monotonic())
        steps = self._steps_of(visit, item, left if live else None)
        return ExplainResponse(
            item=item, reasons=told.reasons, note=told.note, steps=steps, **visit.about(self.release)
        )

    def feedback(self, request: FeedbackRequest) -> FeedbackResponse:
        """Keeps a rating; the consumer's next answer knows it.

        Raises:
            InputError: the product or the rating is none of this release's, the consumer was forgotten, or the id was
                used for another rating.
            StoreError: it could not be kept.
        """
        scale = self.release.scale
        if request.product_id not in self._shelf.row:
            raise InputError(f"The product {request.product_id!r} is not in the release {self.release.release_id}.")
        if not scale.low <= request.rating <= scale.high:
            raise InputError(f"The rating is {request.rating:g}.", f"The scale is {scale.low:g} to {scale.high:g}.")
        stored = self._visitors.keep(request)
        return FeedbackResponse(feedback_id=request.feedback_id, stored=stored, release_id=self.release.release_id)

    def forget(self, consumer_id: str) -> ForgetResponse:
        """Deletes the consumer's feedback and uses nothing of them any more. Raises StoreError."""
        self._visitors.forget(consumer_id)
        if self._audit:
            self._audit.forget(consumer_id)
        return ForgetResponse(effective_at=datetime.now(UTC), remaining=REMAINING)

    def _items(self, visit: Visit, product_ids: Sequence[str]) -> tuple[ProductScore, ...]:
        known = [n for n, product_id in enumerate(product_ids) if product_id in self._shelf.row]
        rows = np.array([self._shelf.row[product_ids[n]] for n in known], np.intp)
        scores = self._score(visit, rows, self._pairs(visit, rows), self._held)
        items = {n: ProductScore(**self._told(scores, place, int(rows[place]))) for place, n in enumerate(known)}
        return tuple(items.get(n) or _unknown(product_id) for n, product_id in enumerate(product_ids))

    def _shortlist(self, visit: Visit, rows: NDArray[np.intp], wishes: Wishes, k: int, held: Held) -> Places:
        """Places of the candidates that the model scores: all, unless there are many and it has a cheap guess."""
        everyone = np.arange(len(rows))
        if len(rows) <= self._shortlists.above:
            return everyone
        try:
            guess = held.guess(visit.consumer.block)
        except Exception:  # as for the scores
            visit.failed("the model failed; products are in order of popularity")
            return everyone[: self._shortlists.keep]
        if guess is None:
            return everyone
        return shortlist(guess[rows], max(self._shortlists.keep, k), wishes.groups, k)

    def _score(self, visit: Visit, rows: NDArray[np.intp], pairs: PairBlock | None, held: Held) -> Scores:
        """The model's scores, or NaN for all if it fails."""
        none = np.full(len(rows), np.nan, np.float32)
        if not len(rows):
            return Scores(none, none)
        try:
            with stage("model"):
                return held.score(visit.consumer.block, rows, pairs, visit.answered_at)
        except Exception:  # a broken model must not leave a page without products
            visit.failed("the model failed; products are in order of popularity")
            return Scores(none, none)

    def _batch(self, visit: Visit, rows: NDArray[np.intp], pairs: PairBlock | None) -> FeatureBatch:
        return cross(visit.consumer.block, self._shelf.products.take(rows), pairs, visit.answered_at)

    def _record(self, batch: FeatureBatch, request: RecommendRequest, answer: RecommendResponse) -> None:
        """Keeps the answer with the rows it rests on; an answer is given also if that fails."""
        try:
            if self._audit:
                self._audit.keep(Record(request, batch, answer))
        except StoreError:
            logger.exception("an answer could not be recorded")

    def _levels(self, visit: Visit, recommender: Recommender) -> tuple[AttributeOut, ...]:
        """How much each attribute counts for this consumer."""
        try:
            levels = recommender.levels(visit.consumer.block)
        except Exception:  # as for the scores
            visit.failed("the levels of attributes could not be computed")
            return ()
        return tuple(AttributeOut(name=it.name, description=it.description, level=it.level) for it in levels)

    def _contributions(
        self,
        visit: Visit,
        rows: NDArray[np.intp],
        pairs: PairBlock | None,
        shown: Sequence[int],
        recommender: Recommender,
    ) -> tuple[tuple[Contribution, ...], ...]:
        """Of each shown candidate, what each part of the input adds to its score."""
        if not shown:
            return ()
        try:
            places = np.array(shown, np.intp)
            batch = self._batch(visit, rows[places], None if pairs is None else pairs.take(places))
            with stage("contributions"):
                added = contributions(recommender, batch)
        except Exception:  # as for the scores
            visit.failed("the contributions could not be computed")
            return ()
        return tuple(tuple(_contribution(part, it, n) for part, it in added.items()) for n in range(len(shown)))

    def _pairs(self, visit: Visit, rows: NDArray[np.intp]) -> PairBlock | None:
        """Codes of the pairs that have texts of their own; the store is asked for those only."""
        written = self._reasons.written_for(visit.consumer_id) if visit.what_if is None else ()
        places = [n for n, row in enumerate(rows) if self._shelf.product_id(row) in written] if written else []
        if not places:
            return None
        if NO_CONSUMER in visit.causes:  # a request waits for a store that is away once
            visit.lacks(NO_PAIR_TEXTS)
            return None
        product_ids = [self._shelf.product_id(rows[n]) for n in places]
        try:
            with stage("store"):
                found = self._features.pairs(visit.consumer_id, product_ids)
        except Exception:  # as for the consumer's features
            visit.failed(NO_PAIR_TEXTS)
            return None
        index = np.full(len(rows), -1, np.int32)
        index[places] = found.codes.index
        return PairBlock(replace(found.codes, index=index))

    def _told(self, scores: Scores, n: int, row: int) -> dict[str, Any]:
        """The fields of `ProductScore`."""
        product_id, click = self._shelf.product_id(row), number(scores.click[n])
        shares = zip(scores.fields, scores.attention[n].tolist(), strict=True) if scores.fields else ()
        return {
            "product_id": product_id,
            "title": self._shelf.titles[product_id],
            "rating": number(scores.rating[n]),
            "click": click,
            "attention": tuple(FieldAttention(name, share) for name, share in shares),
            "note": "no score" if click is None else None,
        }

    def _argued(
        self, visit: Visit, product_ids: Sequence[str], explanations: Literal["none", "stored", "live"], seconds: float
    ) -> tuple[Told, ...]:
        """The reasons for and against each product, as they were asked for."""
        if explanations == "none":
            return (Told(()),) * len(product_ids)
        try:
            with stage("reasons"):
                if explanations == "live":
                    return self._reasons.worded_now(visit.consumer_id, product_ids, visit.answered_at, seconds)
                return tuple(
                    Told(self._reasons.of(visit.consumer_id, product_id, visit.answered_at, visit.what_if))
                    for product_id in product_ids
                )
        except Exception:  # a ranking without reasons is still a ranking
            visit.failed("the reasons could not be composed")
            return (Told(()),) * len(product_ids)

    def _steps_of(self, visit: Visit, item: ProductScore, seconds: float | None) -> StepsOut | None:
        """The four steps; worded by the language model if it may take so many seconds."""
        attention = {it.field: it.share for it in item.attention}
        try:
            return self._reasons.steps(
                visit.consumer_id,
                item.product_id,
                visit.answered_at,
                attention,
                visit.liked(self.release.scale),
                visit.what_if,
                seconds,
            )
        except Exception:  # scores and reasons stand without them
            visit.failed("the four steps could not be made")
            return None


def _unknown(product_id: str) -> ProductScore:
    return ProductScore(product_id=product_id, rating=None, click=None, note=UNKNOWN_PRODUCT)


def titles_of(texts: ReleaseTexts) -> dict[str, str]:
    """The products' titles by id."""
    return dict(zip(texts.products["product_id"].astype(str), texts.products["title"].astype(str), strict=True))


def _live(settings: HostSettings) -> Callable[[Published], LiveExplainer]:
    """Words pairs with the host's language model, which is opened by the first request that wants it."""

    def engine() -> TextEngine:
        from models.llm.engines import open_engine

        return open_engine(settings)

    return lambda published: LiveExplainer(published, engine, settings.ledger_url, words_steps=bool(settings.llm_url))


def _contribution(part: str, added: Added, n: int) -> Contribution:
    """What a part adds to the scores of the n-th pair."""
    odds = None if added.log_odds is None else float(added.log_odds[n])
    return Contribution(part=part, click=float(added.click[n]), log_odds=odds)
