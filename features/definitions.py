"""All Feast objects: two entities, six feature views over the lake, one feature service per method version.

They are built by a function, because the lake's place is a setting. Every view has ttl 0: Feast applies a ttl
offline and not online, so ages are checked by whoever reads, on both sides alike (`ViewRows.event_time`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.rows import EVENT_TIMESTAMP, VIEWS, View

if TYPE_CHECKING:
    from feast import Entity, FeatureService, FeatureView

SERVICE = "lr_recsys_v1"
"""The feature service of the current method version: a release names it, and reads go through it."""

SERVICES = {SERVICE: VIEWS}
"""Which views each method version sees."""


def feast_objects(lake: Path) -> list[Entity | FeatureView | FeatureService]:
    """The entities, views and services over the lake of that folder, ready for `FeatureStore.apply`."""
    from feast import Entity, FeatureService, ValueType

    entities = {
        key: Entity(name=key.removesuffix("_id"), join_keys=[key], value_type=ValueType.STRING)
        for key in ("consumer_id", "product_id")
    }
    views = {view.name: _feature_view(view, entities, lake) for view in VIEWS}
    services = [
        FeatureService(name=name, features=[views[view.name] for view in seen]) for name, seen in SERVICES.items()
    ]
    return [*entities.values(), *views.values(), *services]


def _feature_view(view: View, entities: dict[str, Entity], lake: Path) -> FeatureView:
    """One view; its path is absolute, since DuckDB resolves a relative one against the working folder."""
    from datetime import timedelta

    from feast import FeatureView, Field, FileSource
    from feast.types import String

    source = FileSource(
        name=f"{view.name}_table", path=str(lake / f"{view.table}.parquet"), timestamp_field=EVENT_TIMESTAMP
    )
    keys = [Field(name=key, dtype=String) for key in view.keys]
    features = [Field(name=name, dtype=_feast_type(kind)) for name, kind in view.features]
    return FeatureView(
        name=view.name,
        entities=[entities[key] for key in view.keys],
        schema=[*keys, *features],
        source=source,
        ttl=timedelta(0),
        online=True,
    )


def _feast_type(kind: pa.DataType) -> Any:
    """Feast's name of an Arrow type."""
    from feast.types import Array, Float32, Int64, String

    if pa.types.is_list(kind):
        return Array(_feast_type(kind.value_type))
    return {pa.string(): String, pa.int64(): Int64, pa.float32(): Float32}[kind]


if __name__ == "definitions":
    # The `feast` command imports the files of its folder by their bare names and looks for module-level
    # objects; only then, and never when this file is imported as `features.definitions`, are they made.
    from features.settings import HostSettings

    globals().update({item.name: item for item in feast_objects(HostSettings.from_environment().lake)})
