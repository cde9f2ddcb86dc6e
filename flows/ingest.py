"""Stage 1: raw files become checked interactions and a catalog in the lake."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from prefect import flow

from features.changes import Reading, content_hashes, keep_unchanged
from features.contracts.inputs import check_catalog, check_interactions
from features.errors import SettingError
from features.inbox import Inbox
from features.lake import Lake
from features.readers.inbox import with_inbox
from features.settings import HostSettings
from features.types import Catalog, Interactions, RatingScale, Snapshot, content_hash
from features.visuals import VisualTable
from flows.quality import enforce
from flows.recipe import DataSection, Recipe, remembered_recipe
from flows.stage import StageResult
from flows.workspace import Workspace
from models.images import ImageEncoder, image_files, looks_of, stamps

if TYPE_CHECKING:
    from features.readers.dataset import Dataset
    from features.readers.world import World


TABLES = ("interactions", "products", "attributes", "consumers", "visuals")
"""What a reading leaves in the lake."""


class IngestResult(StageResult):
    """What was read."""

    name: str
    n_consumers: int
    n_products: int
    n_interactions: int
    n_quarantined: int
    n_feedback: int = 0
    """Ratings that came through the service."""
    n_forgotten: int = 0
    """Consumers of the source who are left out because they must be forgotten."""
    n_seen: int = 0
    """Products of which it is known what they look like."""
    n_images_missing: int = 0
    """Products without an image, where the recipe names a folder of images."""
    n_images_unreadable: int = 0
    """Products whose image could not be decoded."""
    quarantine: str
    low: float
    high: float
    like_from: float
    data_hash: str
    cut_valid: datetime
    """Time of the first validation interaction: training features and texts know nothing from here on."""
    cut_test: datetime
    since: datetime
    """Time of the first interaction."""
    as_of: datetime
    """Just after the last interaction."""

    @property
    def scale(self) -> RatingScale:
        """The dataset's stars."""
        return RatingScale(self.low, self.high, self.like_from)


@flow(name="ingest")
def ingest(recipe: Recipe | None = None) -> IngestResult:
    """Reads, checks and stores interactions and catalog. Raises InputError or CheckError; then nothing is written.

    Args:
        recipe: by default the one this home was last run with.
    """
    workspace = Workspace.open()
    return ingest_data(workspace, recipe or remembered_recipe(workspace.settings.home))


def ingest_data(workspace: Workspace, recipe: Recipe) -> IngestResult:
    """The work of the flow, callable without Prefect."""
    tables = [workspace.lake.path(name) for name in TABLES]
    inbox = Inbox(workspace.settings.inbox)
    inputs: list[object] = [recipe.data.model_dump(), source_fingerprint(recipe.data), inbox.fingerprint()]
    encoder = _image_encoder(workspace.settings, recipe.data)
    if encoder is not None:
        inputs += [stamps(encoder.files), stamps(image_files(Path(recipe.data.images)))]
    return workspace.stages.run(
        "ingest", inputs, IngestResult, lambda made_from: _read_and_store(workspace, recipe, encoder, made_from), tables
    )


def preview(recipe: Recipe) -> tuple[IngestResult, Snapshot]:
    """What ingesting the sources as they are now would give, images aside; nothing is checked or written.

    Raises InputError.
    """
    dataset = _read(recipe.data)
    ingested = _described(recipe, dataset, quarantine="")
    return ingested, Snapshot(dataset.interactions, dataset.catalog, dataset.scale, ingested.as_of)


def read_snapshot(workspace: Workspace, ingested: IngestResult, as_of: datetime | None = None) -> Snapshot:
    """The lake's interactions and catalog, all of them or as visible at a time."""
    interactions, catalog = read_reading(workspace.lake)
    snapshot = Snapshot(interactions, catalog, ingested.scale, ingested.as_of)
    return snapshot if as_of is None else snapshot.before(as_of)


def read_reading(lake: Lake) -> Reading:
    """What the lake holds of the source."""
    catalog = Catalog(*(lake.read(name) for name in ("products", "attributes", "consumers", "visuals")))
    return Interactions(lake.read("interactions")), catalog


def source_fingerprint(data: DataSection) -> str:
    """Hash of the files' contents, images aside; the built-in world is its own settings."""
    digests = []
    for path in data.files():
        with path.open("rb") as stream:
            digests.append((path.name, hashlib.file_digest(stream, "sha256").hexdigest()))
    return content_hash(digests)


def _image_encoder(settings: HostSettings, data: DataSection) -> ImageEncoder | None:
    """What sees the recipe's images, if it names any. Raises SettingError where the host has nothing to see with."""
    if not data.images:
        return None
    if settings.image_model is None:
        raise SettingError(
            f"The recipe names images in {data.images}, and this host has no model that sees them.",
            remedy="Let COUNTERPOINT_IMAGE_MODEL name the folder of a CLIP model, or take `images` out of [data].",
        )
    return ImageEncoder(settings.image_model)


def _read_and_store(workspace: Workspace, recipe: Recipe, encoder: ImageEncoder | None, made_from: str) -> IngestResult:
    inbox, read = Inbox(workspace.settings.inbox), _read(recipe.data)
    counts = dict[str, int]()
    if encoder is not None:
        looks = looks_of(
            workspace.lake, encoder, Path(recipe.data.images), read.catalog.products["product_id"], workspace.progress
        )
        read = replace(read, catalog=replace(read.catalog, visuals=looks.visuals))
        counts = {"n_images_missing": looks.n_missing, "n_images_unreadable": looks.n_unreadable}
    merged = with_inbox(read, inbox.everything(), inbox.forgotten())
    dataset = _settled(workspace.lake, merged.dataset)
    interactions, catalog = dataset.interactions.frame, dataset.catalog
    enforce(check_interactions(interactions, dataset.scale), workspace)
    enforce(check_catalog(catalog.products, catalog.attributes), workspace)
    quarantine = _write_quarantine(workspace, dataset)
    lake = workspace.lake
    lake.write("products", catalog.products, made_from)
    lake.write("attributes", catalog.attributes, made_from)
    lake.write("consumers", catalog.consumers, made_from)
    lake.write("visuals", catalog.visuals, made_from)
    lake.write("interactions", interactions, made_from)
    counts |= {"n_feedback": merged.n_feedback, "n_forgotten": merged.n_forgotten}
    return _described(recipe, dataset, quarantine).model_copy(update=counts)


def _settled(lake: Lake, dataset: Dataset) -> Dataset:
    """The dataset, in which what was read before and says the same stands as it stood."""
    if not all(map(lake.has, TABLES)):
        return dataset
    interactions, catalog = keep_unchanged(read_reading(lake), (dataset.interactions, dataset.catalog))
    return replace(dataset, interactions=interactions, catalog=catalog)


def _described(recipe: Recipe, dataset: Dataset, quarantine: str) -> IngestResult:
    interactions, catalog = dataset.interactions.frame, dataset.catalog
    cut_valid, cut_test = _cuts(dataset)
    looks = VisualTable.of(catalog.visuals)
    return IngestResult(
        name=recipe.data.name,
        n_consumers=interactions["consumer_id"].nunique(),
        n_products=len(catalog),
        n_interactions=len(interactions),
        n_quarantined=len(dataset.quarantined),
        n_seen=0 if looks is None else len(looks.product_ids),
        quarantine=quarantine,
        low=dataset.scale.low,
        high=dataset.scale.high,
        like_from=dataset.scale.like_from,
        data_hash=content_hash(
            sorted(content_hashes(dataset.interactions, catalog).itertuples(index=False, name=None)),
            sorted(catalog.consumers.itertuples(index=False, name=None)),
            asdict(dataset.scale),
            *([] if looks is None else [looks.content_hash]),
        ),
        cut_valid=cut_valid,
        cut_test=cut_test,
        since=interactions["timestamp"].min().to_pydatetime(),
        as_of=_just_after(interactions),
    )


def _just_after(interactions: pd.DataFrame) -> datetime:
    last: pd.Timestamp = interactions["timestamp"].max()
    return (last + pd.Timedelta(milliseconds=2)).to_pydatetime()


def _read(data: DataSection) -> Dataset:
    return built_in_world(data).dataset if data.layout == "world" else data.read()


def built_in_world(data: DataSection) -> World:
    """The world of a recipe with the layout `world`, with the truth behind it."""
    from features.readers.world import WorldConfig, generate_world

    return generate_world(
        WorldConfig(
            seed=data.seed,
            n_consumers=data.n_consumers,
            n_products=data.n_products,
            n_interactions=data.n_interactions,
        )
    )


def _write_quarantine(workspace: Workspace, dataset: Dataset) -> str:
    """Writes the rows that were set aside, with the reason for each; returns the file's path or an empty string."""
    if dataset.quarantined.empty:
        return ""
    path = workspace.settings.reports / "quarantine.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.quarantined.to_csv(path, index=False)
    return str(path)


def _cuts(dataset: Dataset) -> tuple[datetime, datetime]:
    """Times of the first validation and the first test interaction of the split by time."""
    from features.splits import SplitRule, split

    times, parts = dataset.interactions.frame["timestamp"], split(dataset.interactions, SplitRule())
    return times[parts == "valid"].min().to_pydatetime(), times[parts == "test"].min().to_pydatetime()
