"""The feature store: every call to Feast, offline and online, behind one noun.

Offline, Feast's point-in-time join (DuckDB) chooses for each row asked for the `version` of every view that was
the latest by then; the values are then read from the same lake table by entity and version, each distinct row
once. Carrying the arrays through the join would copy kilobytes for every match of every row. Online, Feast
returns the values. A test holds both ways to the same bits.

"Strictly before t" is asked as "at or before t - 1 millisecond", so a row never sees itself; events less than a
millisecond apart count as simultaneous.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions import SERVICE, SERVICES, feast_objects
from features.errors import StoreError
from features.feast_import import import_feast
from features.lake import Lake
from features.online import OnlineTables, Place, RedisTables, SqliteTables
from features.rows import (
    CONSUMER_FACETS,
    CONSUMER_FEATURES,
    EVENT_TIMESTAMP,
    PAIR_CODES,
    PRODUCT_CONTENT,
    PRODUCT_FACETS,
    PRODUCT_FEATURES,
    VERSION,
    VIEWS,
    ConsumerRows,
    JoinedRows,
    PairRows,
    ProductRows,
    View,
    ViewRows,
    answered_rows,
    conform,
    row_keys,
    unambiguous,
)
from features.settings import HostSettings

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

PROJECT = "counterpoint"
ENTITY_KEYS = 3
"""Version of Feast's encoding of entity keys."""
BEFORE = pd.Timedelta(milliseconds=1)
"""How far before a time a read looks: the finest step between two events that are told apart."""
REDIS_TIMEOUTS = "socket_timeout=5,socket_connect_timeout=2"
"""Seconds."""
JOIN_ROWS = 20_000
"""Rows of one point-in-time join: bounds DuckDB's memory, since each row meets its entity's whole past."""
WRITE_ROWS = 2_000
"""Rows of one online write: bounds the Python objects that Feast makes of every float."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Materialized:
    """What a materialisation did for one view."""

    view: str
    n_rows: int
    """Rows that the online store holds now."""
    n_written: int
    """Those of them that were new or had changed."""
    n_deleted: int
    """Rows taken away because nothing is known of their ids any more."""
    newest: datetime | None


class FeatureRows:
    """Reads and writes feature rows; made from host settings, connects to nothing until first used."""

    def __init__(self, settings: HostSettings, service: str = SERVICE) -> None:
        """`service`: the feature service of the method version whose features are read (`SERVICES`)."""
        self.settings, self.service, self.lake = settings, service, Lake(settings.lake)

    def config(self) -> RepoConfig:
        """Feast's configuration of this host; `features/feature_store.yaml` is the same for the defaults."""
        os.environ.setdefault("FEAST_USAGE", "False")  # no telemetry
        import_feast()
        from feast import RepoConfig

        # Feast advises that the registry setting below matters for SQL registries only; kept, it is harmless.
        logging.getLogger("feast.repo_config").setLevel(logging.ERROR)
        return RepoConfig(
            project=PROJECT,
            provider="local",
            registry={
                "path": str(self.settings.feast / "registry.db"),
                "serve_features_while_materializing": True,
            },
            offline_store={"type": "duckdb"},
            online_store=_online_store(self.settings),
            entity_key_serialization_version=ENTITY_KEYS,
        )

    def apply(self) -> None:
        """Registers all definitions and makes the online tables; repeating it changes nothing."""
        self.settings.feast.mkdir(parents=True, exist_ok=True)
        with _as_store_error("register the feature views"):
            self._feast.apply([*feast_objects(self.settings.lake)])
        self.__dict__.pop("_registered", None)

    def materialize(self, as_of: datetime) -> tuple[Materialized, ...]:
        """Makes the online store hold the rows that are the latest strictly before `as_of`, and no others.

        What the store holds is compared by version: only new and changed rows are written, and rows of ids that
        have none (any more, or not yet at `as_of`) are deleted. So a store that lost rows is mended by the same
        call. Reads go on meanwhile. The last writer wins whatever the event time, so run one at a time. Raises
        StoreError.
        """
        with _as_store_error("compare the online store with the lake"):
            tables = self._online_tables()
        report = tuple(self._write(tables, view, self._known(view, as_of)) for view in self._views)
        if any(item.n_deleted for item in report):
            with _as_store_error("compact the online store"):
                tables.compact()
        return report

    def historical(self, entities: pd.DataFrame) -> JoinedRows:
        """Feature rows as they were strictly before each row's `event_timestamp`, in the order of `entities`.

        Args:
            entities: columns row_id, consumer_id, product_id, event_timestamp (UTC).

        Raises:
            StoreError: a lake table is missing or has ambiguous versions, or the join lost a row.
        """
        entities = entities.reset_index(drop=True)
        rows = {name: self._lake_rows(view, entities, versions) for name, view, versions in self._join(entities)}
        times = entities["event_timestamp"].dt.tz_convert(None).to_numpy("datetime64[us]")
        return JoinedRows.of(entities, rows, times)

    def online_consumers(self, consumer_ids: Sequence[str]) -> ConsumerRows:
        """What the online store knows of consumers; unknown ones have absent rows. Raises StoreError."""
        features, facets = self._online((CONSUMER_FEATURES, CONSUMER_FACETS), {"consumer_id": list(consumer_ids)})
        return ConsumerRows(_ids(consumer_ids), features, facets)

    def online_products(self, product_ids: Sequence[str]) -> ProductRows:
        """What the online store knows of products; unknown ones have absent rows. Raises StoreError."""
        views = (PRODUCT_FEATURES, PRODUCT_CONTENT, PRODUCT_FACETS)
        return ProductRows(_ids(product_ids), *self._online(views, {"product_id": list(product_ids)}))

    def online_pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairRows:
        """Codes of the texts bought for one consumer with each of the products. Raises StoreError."""
        keys = {"consumer_id": [consumer_id] * len(product_ids), "product_id": list(product_ids)}
        return PairRows(self._online((PAIR_CODES,), keys)[0])

    @cached_property
    def _feast(self) -> FeatureStore:
        config = self.config()
        from feast import FeatureStore

        return FeatureStore(config=config)

    @cached_property
    def _registered(self) -> FeatureStore:
        """The store, once its registry is known to hold the definitions of this code."""
        from feast.errors import FeatureServiceNotFoundException

        expected = {view.name: {name for name, _ in view.features} for view in self._views}
        try:
            service = self._feast.get_feature_service(self.service)
        except FeatureServiceNotFoundException as error:
            raise StoreError(
                f"The feature store under {self.settings.feast} has no feature service {self.service!r}.",
                remedy="Run the materialise stage (`counterpoint run`), which registers the definitions.",
            ) from error
        found = {item.name: {feature.name for feature in item.features} for item in service.feature_view_projections}
        if found != expected:
            raise StoreError(
                f"The feature service {self.service!r} was registered with other features: {found}.",
                f"This code reads {expected}.",
                "Register the definitions again (`counterpoint run`), or serve with the code that made them.",
            )
        return self._feast

    @property
    def _views(self) -> tuple[View, ...]:
        if self.service not in SERVICES:
            raise StoreError(f"There is no feature service {self.service!r}.", f"There are: {', '.join(SERVICES)}.")
        return SERVICES[self.service]

    # Offline: versions through Feast, values from the lake.

    def _join(self, entities: pd.DataFrame) -> Iterator[tuple[str, View, pd.Series]]:
        """For each view, the version of its row for each entity row (missing where there is none)."""
        filled = [view for view in VIEWS if view in self._views and self._n_rows(view)]
        chunks = [
            self._join_chunk(entities.iloc[start : start + JOIN_ROWS], filled)
            for start in range(0, len(entities), JOIN_ROWS)
        ]
        joined = pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame()
        none = pd.Series([None] * len(entities), dtype=object)
        for view in VIEWS:
            yield view.name, view, joined.get(f"{view.name}__{VERSION}", none)

    def _join_chunk(self, entities: pd.DataFrame, views: Sequence[View]) -> pd.DataFrame:
        """One point-in-time join, back in the order asked for: Feast's join neither keeps the order nor promises
        to keep all rows. Raises StoreError if a row was lost or repeated."""
        asked = pd.DataFrame(
            {
                "position": np.arange(len(entities)),
                "consumer_id": entities["consumer_id"].to_numpy(object),
                "product_id": entities["product_id"].to_numpy(object),
                EVENT_TIMESTAMP: (entities["event_timestamp"].dt.as_unit("us") - BEFORE).array,
            }
        )
        if not views:
            return asked
        references = [f"{view.name}:{VERSION}" for view in views]
        with _as_store_error("join the features of past events"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # between Feast's libraries, not ours to mend
            job = self._registered.get_historical_features(asked, references, full_feature_names=True)
            joined = job.to_df().sort_values("position", ignore_index=True)
        if not np.array_equal(joined["position"], asked["position"]):
            raise StoreError(
                f"The point-in-time join returned {len(joined)} rows for {len(asked)}.",
                "Every row must come back once.",
                "Check the lake's feature tables for repeated rows of one entity and time.",
            )
        return joined

    def _n_rows(self, view: View) -> int:
        """Rows of a view's lake table. A table without rows has no column types, so it is never joined."""
        return self.lake.n_rows(view.table)

    def _table(self, view: View) -> pa.Table:
        if not self._n_rows(view):
            return view.schema.empty_table()
        return conform(pq.read_table(self.lake.path(view.table), columns=view.schema.names), view.schema)

    def _lake_rows(self, view: View, entities: pd.DataFrame, versions: pd.Series) -> ViewRows:
        """The rows of the given versions, each once."""
        table = self._table(view)
        keys = row_keys(table.select(view.keys).to_pandas(), view, table[VERSION].to_pandas())
        table = table.select(view.columns.names)
        keys, table = unambiguous(keys, table, view)
        index = pd.Index(keys).get_indexer(row_keys(entities, view, versions.fillna("")))
        if (lost := int(((index < 0) & versions.notna().to_numpy()).sum())) > 0:
            raise StoreError(
                f"{lost} joined rows of {view.name} are not in the lake table {view.table!r}.",
                remedy="The table was replaced during the read: run the stage again.",
            )
        chosen, inverse = np.unique(index[index >= 0], return_inverse=True)
        index[index >= 0] = inverse
        return ViewRows(table.take(chosen).combine_chunks(), index.astype(np.int32))

    # Online.

    def _known(self, view: View, as_of: datetime) -> pa.Table:
        """The latest row of each id strictly before `as_of`."""
        table = self._table(view)
        frame = table.select([*view.keys, EVENT_TIMESTAMP]).to_pandas()
        frame = frame[frame[EVENT_TIMESTAMP] <= pd.Timestamp(as_of) - BEFORE]
        latest = frame.sort_values(EVENT_TIMESTAMP, kind="stable").drop_duplicates(list(view.keys), keep="last")
        return table.take(np.sort(latest.index.to_numpy(np.int64)))

    def _write(self, tables: OnlineTables, view: View, known: pa.Table) -> Materialized:
        place, wanted = _place(view), _entity_keys(view, known)
        with _as_store_error(f"write {view.name} to the online store"):
            stored = tables.versions(place)
            versions = [_encoded(version) for version in known[VERSION].to_pylist()]
            changed = [stored.get(key) != version for key, version in zip(wanted, versions, strict=True)]
            gone = sorted(stored.keys() - set(wanted))
            rows = known.filter(pa.array(changed, pa.bool_()))
            for start in range(0, rows.num_rows, WRITE_ROWS):
                chunk = rows.slice(start, WRITE_ROWS).to_pandas()
                self._registered.write_to_online_store(view.name, df=chunk)
            if gone:
                tables.delete(place, gone)
        newest = known[EVENT_TIMESTAMP].to_pandas().max() if known.num_rows else None
        _log.info("materialized view=%s rows=%d deleted=%d", view.name, rows.num_rows, len(gone))
        return Materialized(view.name, known.num_rows, rows.num_rows, len(gone), newest and newest.to_pydatetime())

    def _online_tables(self) -> OnlineTables:
        from feast.infra.online_stores.redis import RedisOnlineStore

        config = self.config().online_store
        if self.settings.online_store == "redis":
            return RedisTables(RedisOnlineStore()._get_client(config))  # reads the connection string as Feast does
        return SqliteTables(Path(config.path))

    def _online(self, views: Sequence[View], keys: dict[str, list[str]]) -> tuple[ViewRows, ...]:
        """One read of several views with the same keys."""
        n_asked = len(next(iter(keys.values())))
        if n_asked == 0:
            return tuple(ViewRows(view.columns.empty_table(), np.zeros(0, np.int32)) for view in views)
        references = [f"{view.name}:{name}" for view in views for name, _ in view.features]
        with _as_store_error("read the online store"):
            answer = self._registered.get_online_features(references, keys, full_feature_names=True).proto
        vectors = dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))
        return tuple(answered_rows(view, vectors) for view in views)


def _online_store(settings: HostSettings) -> dict[str, Any]:
    if settings.online_store == "redis":
        # Without skip_dedup, Redis keeps its row when a new one has the same event time: a content vector or a
        # facet that was made again from the same evidence would never arrive.
        # Without timeouts, a host that is gone without a word holds a read for a quarter of an hour.
        address = f"{REDIS_TIMEOUTS},{settings.redis_url}"
        return {"type": "redis", "connection_string": address, "skip_dedup": True}
    return {"type": "sqlite", "path": str(settings.feast / "online.db")}


@contextmanager
def _as_store_error(action: str) -> Iterator[None]:
    """Turns what Feast and its stores raise when they cannot be reached or read into a StoreError."""
    import_feast()
    from feast.errors import FeastError
    from redis.exceptions import RedisError

    try:
        yield
    except (FeastError, RedisError, sqlite3.Error, OSError) as error:
        raise StoreError(
            f"Feast could not {action}: {type(error).__name__}: {error}.",
            remedy="Check COUNTERPOINT_HOME, COUNTERPOINT_ONLINE_STORE and COUNTERPOINT_REDIS. A registry without "
            "its online file (or the reverse) is repaired by deleting both and running the materialise stage.",
        ) from error


def _place(view: View) -> Place:
    """Where Feast puts the rows of a view."""
    from feast.infra.online_stores.helpers import _mmh3, _redis_key_prefix

    return Place(
        table=f"{PROJECT}_{view.name}",
        prefix=_redis_key_prefix(list(view.keys)),
        suffix=PROJECT.encode(),
        version_field=_mmh3(f"{view.name}:{VERSION}"),
        fields=(f"_ts:{view.name}".encode(), *(_mmh3(f"{view.name}:{name}") for name, _ in view.features)),
    )


def _entity_keys(view: View, table: pa.Table) -> list[bytes]:
    """The rows' entity keys as Feast stores them."""
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    rows = zip(*(table[key].to_pylist() for key in view.keys), strict=True)
    keys = (EntityKey(join_keys=view.keys, entity_values=[Value(string_val=it) for it in row]) for row in rows)
    return [serialize_entity_key(key, ENTITY_KEYS) for key in keys]


def _encoded(version: str) -> bytes:
    """A version as Feast stores it."""
    from feast.protos.feast.types.Value_pb2 import Value

    return bytes(Value(string_val=version).SerializeToString())


def _ids(ids: Sequence[str]) -> Any:
    """(N,) object array of the ids."""
    array = np.empty(len(ids), object)
    array[:] = list(ids)
    return array
