"""Open requests go out as a file, and the answers of another machine come back as one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from counterpoint.elsewhere import export_requests, import_texts
from features.settings import HostSettings
from flows.recipe import DataSection, ExplainSection, Recipe
from models.llm.engines import open_engine

pytestmark = pytest.mark.slow

RECIPE = Recipe(
    data=DataSection(name="world", layout="world", n_consumers=16, n_products=12, n_interactions=72),
    explain=ExplainSection(n_per_stance=1),
)


@pytest.fixture
def settings(tmp_path: Path) -> HostSettings:
    return HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path / "home")})


def exported(settings: HostSettings, file: Path, batch: bool = False) -> list[dict[str, Any]]:
    """The open requests of the home, as another machine reads them."""
    export_requests(settings, RECIPE, file, "gpt-x", "7", batch)
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Each claim says its opening and then its fact."""
    facts = {fact["label"]: fact["text"] for fact in request["facts"]}
    claims = [
        {
            "text": f"{slot['opening']} {facts[slot['cites'][0]]}.",
            "stance": slot["stance"],
            "weight": 0.5,
            "cites": slot["cites"],
        }
        for slot in request["claims"]
    ]
    provenance = {"source": "job 12", "made_at": "2026-05-01T10:00:00Z"}
    return {**{name: request[name] for name in ("request", "model", "revision")}, **provenance, "claims": claims}


def write(file: Path, lines: Iterable[dict[str, Any]]) -> Path:
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return file


def test_what_is_answered_elsewhere_is_known_and_the_rest_stays_open(settings: HostSettings, tmp_path: Path) -> None:
    requests = exported(settings, tmp_path / "open.jsonl")
    answers = [answer(request) for request in requests[3:]]
    wrong = {**answers[0], "claims": [{**claim, "cites": ["F9"]} for claim in answers[0]["claims"]]}
    stray = {**answers[1], "request": "0" * 64}
    report = import_texts(settings, RECIPE, write(tmp_path / "answers.jsonl", [wrong, *answers[1:], stray]))
    assert (report.model, report.revision, report.texts) == ("gpt-x", "7", len(requests) - 2)
    assert (report.kept, report.unasked, report.unused) == (len(requests) - 4, 3, 1)
    assert report.unusable == {"malformed": 1}
    assert report.reasons == {"unknown fact": 1}
    corrected = import_texts(settings, RECIPE, write(tmp_path / "corrected.jsonl", answers))
    assert (corrected.kept, corrected.known, corrected.unusable) == (1, len(requests) - 4, {})
    still_open = exported(settings, tmp_path / "open.jsonl")
    assert [line["request"] for line in still_open] == [line["request"] for line in requests[:3]]


def test_an_exported_batch_has_the_same_requests_and_exporting_makes_nothing_else(
    settings: HostSettings, tmp_path: Path
) -> None:
    plain, batch = exported(settings, tmp_path / "a.jsonl"), exported(settings, tmp_path / "b.jsonl", batch=True)
    assert [line["custom_id"] for line in batch] == [f"gpt-x@7#{line['request']}" for line in plain]
    assert batch[0]["body"]["messages"][-1]["content"] == plain[0]["prompt"]
    assert not settings.home.exists()


def test_explaining_from_a_file_publishes_what_passes_the_gates_and_reports_what_is_lacking(
    settings: HostSettings, tmp_path: Path
) -> None:
    from flows.explain import explain_entities
    from flows.workspace import Workspace

    requests = exported(settings, tmp_path / "open.jsonl")
    answers = [answer(request) for request in requests[2:]]
    answers[0]["claims"][0]["text"] = f"{requests[2]['claims'][0]['opening']} unicorns."
    file = write(tmp_path / "answers.jsonl", answers)
    environment = {"COUNTERPOINT_HOME": str(settings.home), "COUNTERPOINT_TEXTS": str(file)}
    workspace = Workspace.of(HostSettings.from_environment(environment))
    result = explain_entities(workspace, RECIPE)
    assert result.llm == "imported:gpt-x@7"
    assert result.unasked == 4  # two requests, and the second askings of two refused lines
    assert result.refused.get("grounded", 0) >= 1
    texts = workspace.lake.read("facets")
    assert set(texts["model"]) == {"imported:gpt-x", "template"}
    assert not texts["text"].str.contains("unicorns").any()
    assert open_engine(workspace.settings).identity.name == "imported:gpt-x"
