"""`GET /v1/releases`: what was released, how good it was found, and what was live when."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from features.errors import ReleaseError
from models.cards.model import ModelCard
from models.release import Action, Release, ReleaseStore
from services.openapi import Endpoint


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class MetricOut(_Out):
    """One figure on the held-out part, with its 95 % interval where the release's model card has one."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


class ReleaseOut(_Out):
    """One release."""

    release_id: str
    created_at: AwareDatetime
    live: bool
    method: str
    model_of: str | None = Field(description="The release its model was made for, if its texts were refreshed since.")
    as_of: AwareDatetime
    language_model: str
    encoder: str
    metrics: tuple[MetricOut, ...]


class MoveOut(_Out):
    """One change of what is live."""

    release_id: str
    action: Action
    at: AwareDatetime


class ReleasesResponse(_Out):
    """All releases, newest first, and every promotion and rollback, latest first."""

    live: str | None
    releases: tuple[ReleaseOut, ...]
    moves: tuple[MoveOut, ...]
    unreadable: tuple[str, ...] = Field(description="Releases that are damaged; the service's log has more.")


RELEASES = Endpoint(
    "GET",
    "/v1/releases",
    "What was released, how good it was found, what is live.",
    None,
    ReleasesResponse,
    timed=False,
)


def released(store: ReleaseStore) -> ReleasesResponse:
    """What the store holds. Raises ReleaseError if its pointer cannot be read."""
    live, found, damaged = store.live_id(), list[ReleaseOut](), list[str]()
    for release_id in store.ids():
        try:
            found.append(_release(store, store.read(release_id), live))
        except ReleaseError:
            damaged.append(release_id)
    moves = (MoveOut(release_id=it.release_id, action=it.action, at=it.at) for it in reversed(store.history()))
    return ReleasesResponse(
        live=live,
        releases=tuple(sorted(found, key=lambda it: it.created_at, reverse=True)),
        moves=tuple(moves),
        unreadable=tuple(damaged),
    )


def _release(store: ReleaseStore, release: Release, live: str | None) -> ReleaseOut:
    return ReleaseOut(
        release_id=release.release_id,
        created_at=release.created_at,
        live=release.release_id == live,
        method=release.method,
        model_of=release.model_of,
        as_of=release.as_of,
        language_model=f"{release.llm.name}@{release.llm.revision}",
        encoder=f"{release.encoder.name}@{release.encoder.revision}",
        metrics=_metrics(store, release),
    )


def _metrics(store: ReleaseStore, release: Release) -> tuple[MetricOut, ...]:
    written = store.read_document(release.release_id, f"{ModelCard.stem}.json")
    intervals = ModelCard.model_validate_json(written).run.metrics.get(release.method, {}) if written else {}
    metrics = []
    for metric in release.metrics:
        interval = intervals.get(metric.name)
        bounds = {"low": interval.low, "high": interval.high} if interval else {}
        metrics.append(MetricOut(name=metric.name, value=metric.value, **bounds))
    return tuple(metrics)
