"""How good explanation texts are, as one result file: those a home publishes, or XRec's published outputs.

    python -m benchmarks.explanation_quality --home .counterpoint/demo --name demo
    python -m benchmarks.explanation_quality --xrec ../shared/data/xrec-google --name xrec

XRec's texts (arXiv 2406.02377) and the references they were trained towards are judged by the same code. They cite
nothing, so a statement counts as grounded if each of its content words stands in what was given: the summaries of the
user and of the item, and its title. ROUGE-1 is taken against the reference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.record import write_result
from features.types import Stance
from models.evaluate import Interval, mean_with_interval
from models.evaluate_texts import Recognition
from models.explanations.gates import ungrounded
from models.explanations.support import support
from models.metrics.explanation import derangement, random_texts, statements, words
from models.metrics.pair_context import PairContexts, encode_once

SEED = 0
OPENINGS = "The user would enjoy the business because it offers"
"""What nearly every text of the data begins with; it counts as given."""


def main(
    name: Annotated[str, typer.Option(help="The result is `benchmarks/results/explanations/quality-NAME.json`.")],
    home: Annotated[str, typer.Option(help="A home with a live release.")] = "",
    xrec: Annotated[str, typer.Option(help="Folder with XRec's `explanations.jsonl`.")] = "",
    pairs: Annotated[int, typer.Option(help="How many pairs are judged.")] = 1000,
) -> None:
    """Judges the texts and prints where the figures are."""
    if bool(home) == bool(xrec):
        raise typer.BadParameter("Give either --home or --xrec.")
    figures = judge_home(home, pairs) if home else judge_xrec(Path(xrec), pairs)
    typer.echo(write_result(f"explanations/quality-{name}", figures))


def judge_home(home: str, pairs: int) -> dict[str, Any]:
    """What `counterpoint evaluate-explanations` says of a home."""
    os.environ["COUNTERPOINT_HOME"] = home
    from features.settings import HostSettings
    from flows.evaluate_explanations import judge_explanations
    from flows.recipe import choose_recipe
    from flows.workspace import Workspace, prepare_environment

    settings = HostSettings.from_environment()
    prepare_environment(settings)
    recipe = choose_recipe(settings.home, "", "", "", "", "")
    judged = judge_explanations(Workspace.open(), recipe, pairs).model_dump(mode="json", exclude={"plot"})
    return {"data": recipe.data.name, **judged}


def judge_xrec(folder: Path, pairs: int) -> dict[str, Any]:
    """The same measures of XRec's texts, of its references and of the floors."""
    from models.text import TextEncoder

    rows = [json.loads(line) for line in (folder / "explanations.jsonl").read_text(encoding="utf-8").splitlines()]
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(rows))[:pairs])
    rows = [rows[place] for place in chosen]
    recognition = recognise_xrec(rows, encode_once(TextEncoder().encode))
    said = {"xrec": [row["xrec_generated"] for row in rows], "reference": [row["explanation"] for row in rows]}
    said["shuffled"] = [said["xrec"][place] for place in derangement(len(rows))]
    said["random"] = random_texts(said["xrec"])
    metrics = {name: measure_xrec(texts, rows, recognition) for name, texts in said.items()}
    return {
        "data": folder.name,
        "pairs": len(rows),
        "metrics": {name: {k: _rounded(v) for k, v in each.items()} for name, each in metrics.items()},
    }


def recognise_xrec(rows: Sequence[dict[str, Any]], encode: Any) -> Recognition:
    """Contexts of the pairs: the sentences of both summaries."""
    pairs = [(str(row["uid"]), str(row["iid"])) for row in rows]
    users = {user: statements(row["user_summary"]) for (user, _), row in zip(pairs, rows, strict=True)}
    items = {item: statements(row["item_summary"]) for (_, item), row in zip(pairs, rows, strict=True)}
    return Recognition(
        contexts=PairContexts.encoded(pairs, users, items, encode),
        consumers=np.array([user for user, _ in pairs]),
        references=[row["explanation"] for row in rows],
        names=sorted({row["title"] for row in rows}),
        encode=encode,
    )


def measure_xrec(texts: Sequence[str], rows: Sequence[dict[str, Any]], recognition: Recognition) -> dict[str, Interval]:
    """All measures that need no citations."""
    parts = [
        (n, part, ungrounded(part, Stance.FOR, support(_given(rows[n]))))
        for n, text in enumerate(texts)
        for part in statements(text)
    ]
    who = recognition.consumers[[n for n, _, _ in parts]]
    carried = {
        "grounded": [float(not strange) for _, _, strange in parts],
        "grounded/words": [1 - len(strange) / len(words(part)) for _, part, strange in parts],
    }
    held = {name: mean_with_interval(np.array(values), who) for name, values in carried.items()}
    return {**held, **recognition.measure(texts, np.arange(len(texts)))}


def _given(row: dict[str, Any]) -> str:
    return " ".join([OPENINGS, row["title"], row["user_summary"], row["item_summary"]])


def _rounded(interval: Interval) -> dict[str, float]:
    return {name: round(value, 5) for name, value in asdict(interval).items()}


if __name__ == "__main__":
    typer.run(main)
