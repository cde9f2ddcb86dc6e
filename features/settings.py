"""Host settings: where local state lives and which stores are used, from `COUNTERPOINT_*` variables.

Hyper-parameters live in the methods' configs and a run's choices in its recipe; this file is only about the
machine. Nothing is read at import: call `HostSettings.from_environment()`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import SettingError

ONLINE_STORES = ("sqlite", "redis")


@dataclass(frozen=True)
class HostSettings:
    """Where this host keeps its state; every path below is derived from `home`."""

    home: Path
    """COUNTERPOINT_HOME (default `.counterpoint`): all local state."""
    ledger_url: str
    """COUNTERPOINT_LEDGER_URL: SQLAlchemy URL of the ledger (default SQLite under `home`)."""
    online_store: str
    """COUNTERPOINT_ONLINE_STORE: `sqlite` (default) or `redis`."""
    redis_url: str
    """COUNTERPOINT_REDIS: `host:port[,db=N]` of the Redis online store (default `localhost:6379`)."""
    llm_url: str
    """COUNTERPOINT_LLM_URL: base URL of an OpenAI-compatible server; empty means the embedded model."""
    llm_model: str
    """COUNTERPOINT_LLM_MODEL: the model's name at that server."""
    llm_key: str
    """COUNTERPOINT_LLM_KEY: its API key, if it wants one; never stored or logged."""
    llm_adapter: str = ""
    """COUNTERPOINT_LLM_ADAPTER: folder of the embedded model's adapter; empty means the shipped one, `none` no one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> HostSettings:
        """Reads the settings. Raises SettingError on a value that is not allowed."""
        env = os.environ if environment is None else environment
        home = Path(env.get("COUNTERPOINT_HOME", ".counterpoint")).expanduser().resolve()
        online_store = env.get("COUNTERPOINT_ONLINE_STORE", "sqlite")
        if online_store not in ONLINE_STORES:
            raise SettingError(
                f"COUNTERPOINT_ONLINE_STORE is {online_store!r}.",
                f"It must be one of {', '.join(ONLINE_STORES)}.",
            )
        llm_url, llm_model = env.get("COUNTERPOINT_LLM_URL", ""), env.get("COUNTERPOINT_LLM_MODEL", "")
        if llm_url and not llm_model:
            raise SettingError(
                f"COUNTERPOINT_LLM_URL is {llm_url!r} but COUNTERPOINT_LLM_MODEL is empty.",
                remedy="Set COUNTERPOINT_LLM_MODEL to the name of the model on that server.",
            )
        return cls(
            home=home,
            ledger_url=env.get("COUNTERPOINT_LEDGER_URL", f"sqlite:///{home / 'ledger.sqlite'}"),
            online_store=online_store,
            redis_url=env.get("COUNTERPOINT_REDIS", "localhost:6379"),
            llm_url=llm_url,
            llm_model=llm_model,
            llm_key=env.get("COUNTERPOINT_LLM_KEY", ""),
            llm_adapter=env.get("COUNTERPOINT_LLM_ADAPTER", ""),
        )

    @property
    def lake(self) -> Path:
        """Folder of the lake's Parquet tables."""
        return self.home / "lake"

    @property
    def feast(self) -> Path:
        """Folder of the Feast registry and the SQLite online store."""
        return self.home / "feast"

    @property
    def models(self) -> Path:
        """Folder of the language model's converted weights."""
        return self.home / "models"

    @property
    def bentoml(self) -> Path:
        """BENTOML_HOME: the model store."""
        return self.home / "bentoml"

    @property
    def releases(self) -> Path:
        """Folder of release manifests and the pointer to the live one."""
        return self.home / "releases"

    @property
    def reports(self) -> Path:
        """Folder of data-quality reports, quarantine files and plots."""
        return self.home / "reports"

    @property
    def prefect(self) -> Path:
        """PREFECT_HOME."""
        return self.home / "prefect"
