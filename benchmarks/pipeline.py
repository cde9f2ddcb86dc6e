"""Time, memory, tokens and test metrics of a run, from the records its stages left, as one result file.

The ledger's seconds are those of the model over all runs of the home, also where a stage was resumed. The commit is the
one the stages were run with; where they differ, all are named, and each stage has its own.

    python -m benchmarks.pipeline NAME [--score ../shared/bench/score.py --dataset ml-100k --split time]

Reads the home that COUNTERPOINT_HOME names and writes `benchmarks/results/NAME.json`. With `--score` the method's test
predictions are scored by that script as well, so that the figures stand beside those of other systems.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import typer

from benchmarks.record import write_result
from features.ledger import Ledger
from features.settings import HostSettings
from flows.stage import StageLog

STAGES = ("ingest", "explain", "materialize", "train", "evaluate", "release")
KEPT_OF_STAGE = {"seconds", "peak_memory_mb", "commit"}


def main(
    name: str,
    score: Annotated[str, typer.Option(help="A scoring script taking --dataset, --split, --task and a file.")] = "",
    dataset: str = "",
    split: str = "time",
) -> None:
    """Writes the result file and prints it."""
    settings = HostSettings.from_environment()
    log = StageLog(settings.home / "stages")
    records = {stage: record for stage in STAGES if (record := log.read(stage))}
    evaluated: dict[str, Any] = records["evaluate"].result
    with Ledger(settings.ledger_url) as ledger:
        summary = ledger.summary()
    result: dict[str, Any] = {
        "stages": {stage: record.model_dump(include=KEPT_OF_STAGE) for stage, record in records.items()},
        "ingest": _kept(records["ingest"].result, ("n_consumers", "n_products", "n_interactions", "n_quarantined")),
        "explain": records["explain"].result,
        "ledger": {
            "answers": summary.answers,
            "prompt_tokens": summary.prompt_tokens,
            "completion_tokens": summary.completion_tokens,
            "model_seconds": round(summary.seconds, 1),
            "answers_per_second": round(summary.answers / summary.seconds, 2),
            "new_tokens_per_second": round(summary.completion_tokens / summary.seconds, 1),
        },
        "materialize": records["materialize"].result,
        "train": records["train"].result,
        "evaluate": {key: evaluated[key] for key in evaluated if key not in ("plot", "predictions")},
    }
    if score:
        command = [sys.executable, score, "--dataset", dataset, "--split", split, "--task", "rating"]
        command.append(evaluated["predictions"])
        result["scored"] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    commits = ", ".join(sorted({record.commit or "unknown" for record in records.values()}))
    typer.echo(write_result(name, result, commits).read_text(encoding="utf-8"))


def _kept(result: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: result[name] for name in names}


if __name__ == "__main__":
    typer.run(main)
