"""The BentoML service: HTTP around `services.live.LiveRuntime`, and nothing else.

Start it with `bentoml serve services.recommend:RecommendService`, or build it with `bentoml build`. BENTOML_HOME
must be the model store that holds the live release's artifact; `counterpoint serve` sets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bentoml
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound, ServiceUnavailable
from bentoml.models import BentoModel

from features.errors import CounterpointError, InputError, ReleaseError
from features.settings import HostSettings
from models.release import ARTIFACT_FOLDER, ARTIFACT_NAME, ReleaseStore
from services.limits import Limits
from services.live import LiveRuntime
from services.resources import Resources
from services.runtime import Runtime
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


def open_live() -> Runtime:
    """The runtime of the live release."""
    settings = HostSettings.from_environment()
    release = ReleaseStore(settings.releases).live()
    if release is None:
        raise ReleaseError(f"No release is live in {settings.releases}.", remedy="Run `counterpoint release`.")
    return Runtime.open(settings, artifact_folder(release.artifact_tag))


@contextmanager
def _as_bad_request() -> Iterator[None]:
    """What the caller gave and cannot be used, such as an unknown attribute, is answered by 400."""
    try:
        yield
    except InputError as error:
        raise InvalidArgument(str(error)) from error


@bentoml.service(
    name="counterpoint",
    description="Recommendations that argue both sides.",
    traffic={"timeout": 30, "max_concurrency": 128},
)
class RecommendService:
    """Ranks, scores and explains with the live release; follows it without a restart."""

    artifact = BentoModel(_tag_to_pack())

    def __init__(self) -> None:
        """Opens the live release; if it cannot be served, /readyz says so and answers are 503."""
        settings = HostSettings.from_environment()
        self._live = LiveRuntime(ReleaseStore(settings.releases), open_live)
        resources.serve(self._runtime)

    def __is_ready__(self) -> bool:
        """What /readyz answers."""
        return self._live.ready

    @bentoml.api(route="/v1/recommend")
    def recommend(self, request: RecommendRequest, /) -> RecommendResponse:
        """The k best products for a consumer or an anonymous history, with reasons for and against."""
        with _as_bad_request():
            return self._runtime().recommend(request)

    @bentoml.api(route="/v1/score")
    def score(self, request: ScoreRequest, /) -> ScoreResponse:
        """Scores of given products for a consumer, in the order given."""
        return self._runtime().score(request.consumer_id, request.product_ids)

    @bentoml.api(route="/v1/explain")
    def explain(self, request: ExplainRequest, /) -> ExplainResponse:
        """Why a consumer would like a product, and why not, with the facts behind both."""
        return self._runtime().explain(request)

    @bentoml.api(route="/v1/feedback")
    def feedback(self, request: FeedbackRequest, /) -> FeedbackResponse:
        """Keeps a consumer's rating of a product; their next answer knows it, the lake does after the next refresh."""
        with _as_bad_request():
            return self._runtime().feedback(request)

    def _runtime(self) -> Runtime:
        try:
            return self._live.current()
        except CounterpointError as error:
            raise ServiceUnavailable(str(error)) from error


RecommendService.mount_asgi_app(resources.app)  # type: ignore[attr-defined]  # the decorator makes it a Service
RecommendService.add_asgi_middleware(Limits)  # type: ignore[attr-defined]  # the decorator makes it a Service
