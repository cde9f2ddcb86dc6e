"""The BentoML service: HTTP around `services.live.LiveRuntime`, and nothing else.

Start it with `bentoml serve services.recommend:RecommendService`, or build it with `bentoml build`. BENTOML_HOME
must be the model store that holds the live release's artifact; `counterpoint serve` sets it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml
from bentoml.exceptions import BentoMLException, NotFound, ServiceUnavailable, UnprocessableEntity
from bentoml.models import BentoModel

from features.errors import CounterpointError, InputError, ReleaseError
from features.settings import HostSettings, ServeSettings
from models.release import ARTIFACT_FOLDER, ARTIFACT_NAME, ReleaseStore
from models.released import live_release
from models.status import Status, read_status
from services.guard import Guard
from services.live import LiveRuntime
from services.openapi import Endpoint, document, endpoint_of
from services.pages import MakePage, Page, console_pages
from services.releases import RELEASES, released
from services.resources import RESOURCES, Resources
from services.schemas import (
    ExplainRequest,
    ExplainResponse,
    FeedbackRequest,
    FeedbackResponse,
    RecommendRequest,
    RecommendResponse,
    ScoreRequest,
    ScoreResponse,
)

if TYPE_CHECKING:
    from services.runtime import Runtime


def _tag_to_pack() -> str:
    """Tag of the live release's artifact, so that `bentoml build` packs exactly that one.

    `latest` would be the artifact made last, which after a rollback is the wrong one. BentoML wants the tag when
    the class is defined; this read of one small file is the only thing that happens on import.
    """
    try:
        release = ReleaseStore(HostSettings.from_environment().releases).live()
    except CounterpointError:
        release = None  # the service itself says at start what is wrong with it
    return release.artifact_tag if release else f"{ARTIFACT_NAME}:latest"


def artifact_folder(tag: str) -> Path:
    """Where an artifact lies. BentoML puts the packed one into the same store. Raises ReleaseError."""
    try:
        return Path(bentoml.models.get(tag).path_of(ARTIFACT_FOLDER))
    except (NotFound, BentoMLException) as error:
        raise ReleaseError(
            f"The model store has no artifact {tag}: {error}.",
            remedy="Set BENTOML_HOME to the store the release was made in, or import its bento there.",
        ) from error


resources = Resources()
STATUS = Endpoint(
    "GET", "/v1/status", "What the home's last run did, what it cost, and what is live.", None, Status, timed=False
)


def open_live(patience: float | None = None) -> Runtime:
    """The runtime of the live release.

    Args:
        patience: seconds that a request waits for the online store; None waits as long as it takes.
    """
    # torch, seconds of a start, comes in here: BentoML's parent process imports this module and answers nothing
    from services.breaker import SparedFeatures
    from services.runtime import Runtime

    settings = HostSettings.from_environment()
    release = live_release(settings.releases)
    spare = (lambda features: SparedFeatures(features, patience)) if patience else None
    return Runtime.open(settings, artifact_folder(release.artifact_tag), spare)


@contextmanager
def _as_unusable() -> Iterator[None]:
    """What fits the schema and cannot be used all the same, such as an unknown attribute, is answered by 422."""
    try:
        yield
    except InputError as error:
        raise UnprocessableEntity(str(error)) from error


@bentoml.service(
    name="counterpoint",
    description="Recommendations that argue both sides.",
    # BentoML's default is one thread: what takes long holds up everybody. torch computes without the interpreter.
    threads=4,
    # What BentoML counts and logs by is the request's path, which may hold an id and is whatever a caller makes up;
    # `services.guard` does both, and limits time and load.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class RecommendService:
    """Ranks, scores and explains with the live release; follows it without a restart."""

    artifact = BentoModel(_tag_to_pack())

    def __init__(self) -> None:
        """Opens the live release; if it cannot be served, /readyz says so and answers are 503."""
        settings, patience = HostSettings.from_environment(), ServeSettings.from_environment().store_timeout
        self._live = LiveRuntime(ReleaseStore(settings.releases), lambda: open_live(patience))
        resources.serve(self._runtime)

    def __is_ready__(self) -> bool:
        """What /readyz answers."""
        return self._live.ready

    @bentoml.api(route="/v1/recommend")
    def recommend(self, request: RecommendRequest, /) -> RecommendResponse:
        """The k best products for a consumer or an anonymous history, with reasons for and against."""
        with _as_unusable():
            return self._runtime().recommend(request)

    @bentoml.api(route="/v1/score")
    def score(self, request: ScoreRequest, /) -> ScoreResponse:
        """Scores of given products for a consumer, in the order given."""
        return self._runtime().score(request.consumer_id, request.product_ids)

    @bentoml.api(route="/v1/explain")
    def explain(self, request: ExplainRequest, /) -> ExplainResponse:
        """Why a consumer would like a product, and why not, with the facts behind both."""
        with _as_unusable():
            return self._runtime().explain(request)

    @bentoml.api(route="/v1/feedback")
    def feedback(self, request: FeedbackRequest, /) -> FeedbackResponse:
        """Keeps a consumer's rating of a product; their next answer knows it, the lake does after the next refresh."""
        with _as_unusable():
            return self._runtime().feedback(request)

    def _runtime(self) -> Runtime:
        try:
            return self._live.current()
        except CounterpointError as error:
            raise ServiceUnavailable(str(error)) from error


def _docs() -> Page:
    endpoints = [endpoint_of(api.route, api.func) for api in RecommendService.apis.values()]  # type: ignore[attr-defined]
    return Page(json.dumps(document([*endpoints, *RESOURCES, RELEASES, STATUS])).encode(), "application/json")


def _releases() -> Page:
    found = released(ReleaseStore(HostSettings.from_environment().releases))
    return Page(found.model_dump_json().encode(), "application/json")


def _status() -> Page:
    return Page(read_status(HostSettings.from_environment()).model_dump_json().encode(), "application/json")


def _pages() -> dict[str, MakePage]:
    return {**console_pages(), "/docs.json": cache(_docs), "/v1/releases": _releases, "/v1/status": _status}


RecommendService.mount_asgi_app(resources.app)  # type: ignore[attr-defined]  # the decorator makes it a Service
RecommendService.add_asgi_middleware(Guard, pages=_pages)  # type: ignore[attr-defined]  # made a Service above
