"""On catalog change: find what changed in the source, say so, and remake only what rests on it.

`detect_changes` reads the source again and emits the event `catalog.changed`; a deployment triggered by it runs
`refresh_entities` (deployments/prefect.yaml). What has to be remade is decided by content at every step (facts by
their inputs, answers by the ledger, online rows by version), never by the event: one that is lost, repeated or late
costs nothing but time.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Self

import pandas as pd
from prefect import flow
from prefect.events import emit_event

from features.changes import CONTENT_COLUMNS, Changes, EntityChanges, content_hashes, find_changes
from features.types import EntityKind
from flows.explain import explain_entities
from flows.ingest import ingest_data, read_reading
from flows.materialize import fill_online, materialize_features
from flows.recipe import Recipe, remembered_recipe
from flows.release import refresh_release
from flows.stage import StageResult
from flows.workspace import Workspace

EVENT = "catalog.changed"
LISTED = 200
"""Ids that one event lists at most; more are in the lake alone."""
ANNOUNCED = "announced_content"
"""Lake table of the content that was last announced (`features/changes.py`)."""
CHANGES = "catalog_changes"
"""Lake table of the ids whose change was announced and is not refreshed yet: kind, id, change."""


class Count(StageResult):
    """How many entities of a kind changed."""

    added: int = 0
    changed: int = 0
    removed: int = 0


class CatalogChanged(StageResult):
    """What changed since it was last announced: the payload of the event."""

    catalog: str
    data_hash: str
    products: Count
    consumers: Count
    """A changed consumer has new, altered or removed events. Their ids are in the lake alone."""
    added: tuple[str, ...] = ()
    """Ids of products, where there are not too many to list."""
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    listed: bool = True
    """Whether the three lists are whole."""
    table: str = CHANGES
    """The lake table that lists all ids."""

    @classmethod
    def of(cls, catalog: str, data_hash: str, changes: Changes) -> Self:
        """Counts the changes, and lists the products if there are not too many."""
        listed = len(changes.products) <= LISTED
        return cls(
            catalog=catalog,
            data_hash=data_hash,
            products=_count(changes.products),
            consumers=_count(changes.consumers),
            listed=listed,
            **(asdict(changes.products) if listed else {}),
        )

    @property
    def anything(self) -> bool:
        """Whether there is anything to announce."""
        return (self.products, self.consumers) != (Count(), Count())


class RefreshResult(StageResult):
    """What changed, and what remaking it took."""

    products: Count
    consumers: Count
    calls: int
    """Answers bought from the language model."""
    from_ledger: int
    """Requests that the ledger answered."""
    waiting: int
    """Requests left over because the budget was used up."""
    written: dict[str, int]
    """Rows written to the online store, by view."""
    deleted: dict[str, int]
    """Rows taken out of it, by view."""
    release_id: str
    """The release that is live now, with these texts; empty if none is."""


@flow(name="detect_changes")
def detect_changes(recipe: Recipe | None = None) -> CatalogChanged:
    """Reads the source again, stores it as ingest does, announces what changed. Raises InputError, CheckError.

    Args:
        recipe: by default the one this home was last run with.
    """
    workspace = Workspace.open()
    with workspace.alone():
        found = find(workspace, recipe or remembered_recipe(workspace.settings.home))
        if found.anything:
            payload = found.model_dump(mode="json")
            emit_event(EVENT, resource={"prefect.resource.id": f"catalog.{found.catalog}"}, payload=payload)
        settle(workspace)  # last: what was not announced is found again
    return found


@flow(name="refresh_entities")
def refresh_entities(change: CatalogChanged | None = None, recipe: Recipe | None = None) -> RefreshResult:
    """Remakes texts and features of what changed, and only of that. Raises CheckError, GenerationError, StoreError.

    Args:
        change: the event's payload, for the report.
        recipe: by default the one this home was last run with.
    """
    workspace = Workspace.open()
    with workspace.alone():
        return remake(workspace, recipe or remembered_recipe(workspace.settings.home), change)


@flow(name="refresh")
def refresh(recipe: Recipe) -> RefreshResult:
    """Both in this process, without an event: `counterpoint refresh`."""
    workspace = Workspace.open()
    with workspace.alone():
        result = remake(workspace, recipe, find(workspace, recipe))
        settle(workspace)
    return result


def find(workspace: Workspace, recipe: Recipe) -> CatalogChanged:
    """Reads and stores the source as ingest does, and lists what is other than was last announced."""
    lake = workspace.lake
    if lake.has("interactions") and not lake.has(ANNOUNCED):
        settle(workspace)  # a run made the texts of what it read
    before = lake.read(ANNOUNCED) if lake.has(ANNOUNCED) else pd.DataFrame(columns=list(CONTENT_COLUMNS))
    ingested = ingest_data(workspace, recipe)
    changes = find_changes(before, content_hashes(*read_reading(lake)))
    found = CatalogChanged.of(ingested.name, ingested.data_hash, changes)
    if found.anything:
        lake.write(CHANGES, _listed(changes), ingested.data_hash)
    return found


def settle(workspace: Workspace) -> None:
    """Notes that the lake's content was announced."""
    workspace.lake.write(ANNOUNCED, content_hashes(*read_reading(workspace.lake)), "")


def remake(workspace: Workspace, recipe: Recipe, change: CatalogChanged | None) -> RefreshResult:
    """Texts, features, online rows and the release's texts, each only where something it rests on changed."""
    explained = explain_entities(workspace, recipe, go_on=True)
    bought = explained.made if workspace.stages.worked("explain") else 0
    written, deleted = _online_rows(workspace, recipe)
    release_id = refresh_release(workspace, recipe)
    workspace.lake.delete(CHANGES)
    return RefreshResult(
        products=change.products if change else Count(),
        consumers=change.consumers if change else Count(),
        calls=bought,
        from_ledger=explained.requests - explained.unasked - bought,
        waiting=explained.unasked,
        written=written,
        deleted=deleted,
        release_id=release_id,
    )


def _listed(changes: Changes) -> pd.DataFrame:
    """One row per entity that changed."""
    kinds = ((EntityKind.PRODUCT, changes.products), (EntityKind.CONSUMER, changes.consumers))
    rows = [
        (kind.value, entity_id, change)
        for kind, found in kinds
        for change, ids in asdict(found).items()
        for entity_id in ids
    ]
    return pd.DataFrame(rows, columns=["entity_kind", "entity_id", "change"], dtype=object)


def _count(changes: EntityChanges) -> Count:
    return Count(**{name: len(ids) for name, ids in asdict(changes).items()})


def _online_rows(workspace: Workspace, recipe: Recipe) -> tuple[dict[str, int], dict[str, int]]:
    """Rows written and deleted by view, where there are any. A store that lost rows is mended in any case."""
    made = materialize_features(workspace, recipe)
    written, deleted = made.written, made.deleted
    if not workspace.stages.worked("materialize"):
        online = fill_online(workspace, ingest_data(workspace, recipe).as_of)
        written, deleted = {it.view: it.n_written for it in online}, {it.view: it.n_deleted for it in online}
    return _some(written), _some(deleted)


def _some(counts: dict[str, int]) -> dict[str, int]:
    return {view: count for view, count in counts.items() if count}
