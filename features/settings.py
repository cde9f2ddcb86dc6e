"""Host settings: where local state lives and which stores are used, from `COUNTERPOINT_*` variables.

Hyper-parameters live in the methods' configs and a run's choices in its recipe; this file is only about the
machine. Nothing is read at import: call `HostSettings.from_environment()`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import SettingError

ONLINE_STORES = ("sqlite", "redis")


@dataclass(frozen=True)
class TokenPrice:
    """Money per million tokens, in any currency."""

    prompt: float
    completion: float

    @classmethod
    def parse(cls, text: str) -> TokenPrice:
        """Reads `0.15,0.60` (prompt, completion) or one price for both. Raises SettingError."""
        try:
            prices = [float(part) for part in text.split(",")]
            if len(prices) not in (1, 2) or not all(0 <= price < float("inf") for price in prices):
                raise ValueError
        except ValueError:
            raise SettingError(
                f"COUNTERPOINT_LLM_PRICE is {text!r}.",
                "It must be a price per million tokens, like 0.5, or two for prompts and answers, like 0.15,0.60.",
            ) from None
        return cls(prices[0], prices[-1])

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


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
    llm_price: TokenPrice | None = None
    """COUNTERPOINT_LLM_PRICE: what it takes per million tokens; `counterpoint status` then shows the spend as money."""
    llm_concurrency: int = 8
    """COUNTERPOINT_LLM_CONCURRENCY: calls in flight at that server at most."""
    llm_timeout: float = 60.0
    """COUNTERPOINT_LLM_TIMEOUT: seconds until a call to it is given up and tried again."""
    texts: Path | None = None
    """COUNTERPOINT_TEXTS: a file of texts that were generated elsewhere; takes the place of a language model."""
    llm_adapter: str = ""
    """COUNTERPOINT_LLM_ADAPTER: folder of the embedded model's adapter; empty means the shipped one, `none` no one."""
    image_model: Path | None = None
    """COUNTERPOINT_IMAGE_MODEL: folder of a CLIP model that sees images of products, where a recipe names such."""
    feature_days: float = math.inf
    """COUNTERPOINT_FEATURE_DAYS: what was last known of somebody longer ago is not served (default: no limit)."""
    text_days: float = math.inf
    """COUNTERPOINT_TEXT_DAYS: a text whose evidence is older is not served (default: no limit)."""
    audit_share: float = 0.0
    """COUNTERPOINT_AUDIT: the share of recommendations that is recorded with all features, 0 (default) to 1."""

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
            llm_price=TokenPrice.parse(price) if (price := env.get("COUNTERPOINT_LLM_PRICE", "")) else None,
            llm_concurrency=int(_at_least_one(env, "COUNTERPOINT_LLM_CONCURRENCY", cls.llm_concurrency)),
            llm_timeout=_at_least_one(env, "COUNTERPOINT_LLM_TIMEOUT", cls.llm_timeout),
            texts=_path(env, "COUNTERPOINT_TEXTS"),
            llm_adapter=env.get("COUNTERPOINT_LLM_ADAPTER", ""),
            image_model=_path(env, "COUNTERPOINT_IMAGE_MODEL"),
            feature_days=_number(env, "COUNTERPOINT_FEATURE_DAYS", cls.feature_days, above=0),
            text_days=_number(env, "COUNTERPOINT_TEXT_DAYS", cls.text_days, above=0),
            audit_share=_share(env, "COUNTERPOINT_AUDIT"),
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
    def audit(self) -> Path:
        """Folder of the answers that were recorded (`services/audit.py`)."""
        return self.home / "audit"

    @property
    def inbox(self) -> Path:
        """What the service took in since the last refresh (`features/inbox.py`)."""
        return self.home / "inbox.sqlite"

    @property
    def reports(self) -> Path:
        """Folder of data-quality reports, quarantine files and plots."""
        return self.home / "reports"

    @property
    def prefect(self) -> Path:
        """PREFECT_HOME."""
        return self.home / "prefect"


@dataclass(frozen=True)
class ServeSettings:
    """How the service treats those who call it."""

    keys: Path
    """COUNTERPOINT_KEYS: file of the hashed API keys (default `keys.json` in the home)."""
    rate: float = 50.0
    """COUNTERPOINT_RATE: requests a second that one API key may send, after a burst of twice as many."""
    concurrency: int = 32
    """COUNTERPOINT_CONCURRENCY: requests in work at most; more are turned away with 503 and Retry-After."""
    deadline: float = 10.0
    """COUNTERPOINT_DEADLINE: seconds after which a request is answered by 504."""
    store_timeout: float = 0.1
    """COUNTERPOINT_STORE_TIMEOUT: seconds that a read of the online store may take; see `services/breaker.py`."""
    drain: float = 2.0
    """COUNTERPOINT_DRAIN: seconds between /readyz saying 503 and the listener closing, after SIGTERM."""
    cors: tuple[str, ...] = ()
    """COUNTERPOINT_CORS: origins, separated by commas, whose pages may call the service; none by default."""
    traces: str = ""
    """COUNTERPOINT_TRACES: a file, or the URL of a collector, that is told what answers spend their time on."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ServeSettings:
        """Reads the settings. Raises SettingError on a value that is not allowed."""
        env = os.environ if environment is None else environment
        keys = env.get("COUNTERPOINT_KEYS", "")
        origins = (origin.strip() for origin in env.get("COUNTERPOINT_CORS", "").split(","))
        return cls(
            keys=Path(keys).expanduser().resolve() if keys else HostSettings.from_environment(env).home / "keys.json",
            rate=_number(env, "COUNTERPOINT_RATE", cls.rate, above=0),
            concurrency=int(_at_least_one(env, "COUNTERPOINT_CONCURRENCY", cls.concurrency)),
            deadline=_number(env, "COUNTERPOINT_DEADLINE", cls.deadline, above=0),
            store_timeout=_number(env, "COUNTERPOINT_STORE_TIMEOUT", cls.store_timeout, above=0),
            drain=_number(env, "COUNTERPOINT_DRAIN", cls.drain, least=0),
            cors=tuple(origin for origin in origins if origin),
            traces=env.get("COUNTERPOINT_TRACES", ""),
        )


@dataclass(frozen=True)
class ShortlistSettings:
    """When recommending takes two stages (`services/shortlist.py`)."""

    above: int = 2_000
    """COUNTERPOINT_SHORTLIST_ABOVE: with more candidates than this, a cheap guess chooses which the ranker sees."""
    keep: int = 300
    """COUNTERPOINT_SHORTLIST: how many those are."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ShortlistSettings:
        """Reads the settings. Raises SettingError on a value that is not allowed."""
        env = os.environ if environment is None else environment
        return cls(
            above=int(_at_least_one(env, "COUNTERPOINT_SHORTLIST_ABOVE", cls.above)),
            keep=int(_at_least_one(env, "COUNTERPOINT_SHORTLIST", cls.keep)),
        )


@dataclass(frozen=True)
class BenchFolders:
    """What benchmarks on real data need and this repository does not hold."""

    bench: Path
    """COUNTERPOINT_BENCH: holds the fixed splits (`splits/`), their loader `load.py` and the scorer `score.py`."""
    data: Path
    """COUNTERPOINT_DATA: holds one folder per dataset."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> BenchFolders:
        """Reads the settings. Raises SettingError if one is missing or names no folder."""
        env = os.environ if environment is None else environment
        found = []
        for name, holds in (("COUNTERPOINT_BENCH", "fixed splits and scorer"), ("COUNTERPOINT_DATA", "datasets")):
            folder = Path(env.get(name, "")).expanduser().resolve()
            if not env.get(name) or not folder.is_dir():
                raise SettingError(
                    f"{name} is {env.get(name, '')!r}, which is no folder.",
                    f"It must name the folder of the benchmark's {holds}.",
                )
            found.append(folder)
        return cls(*found)


def _share(env: Mapping[str, str], name: str) -> float:
    """A number from 0 to 1; 0 where it is not set. Raises SettingError."""
    given = env.get(name) or 0.0
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise SettingError(f"{name} is {given!r}.", "It must be a number from 0 to 1.")
    return number


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]).expanduser().resolve() if env.get(name) else None


def _at_least_one(env: Mapping[str, str], name: str, default: float) -> float:
    return _number(env, name, default, least=1)


def _number(
    env: Mapping[str, str], name: str, default: float, least: float = -math.inf, above: float = -math.inf
) -> float:
    """A finite number within bounds, or the default. Raises SettingError."""
    if not (given := env.get(name)):
        return default
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not (least <= number < math.inf and number > above):
        bound = f"of at least {least:g}" if least > -math.inf else f"above {above:g}"
        raise SettingError(f"{name} is {given!r}.", f"It must be a number {bound}.")
    return number
