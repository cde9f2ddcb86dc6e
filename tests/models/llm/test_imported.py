"""Texts of another machine: checked line by line, then answered like a server would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from features.errors import GenerationError, InputError
from features.types import Claim, FinishReason, ShownFact, Slot, Stance, TextRequest
from models.llm.imported import ImportEngine, answerable, batch_line, imported_identity, request_line
from models.llm.scripted import ScriptedEngine

MODEL = imported_identity("gpt-x", "7")
CLAIM = {"text": "They like old films.", "stance": "for", "weight": 0.9, "cites": ["F1"]}


def request_of(n: int = 0) -> TextRequest:
    slot, fact = Slot("They like", stance=Stance.FOR, cites=("F1",)), ShownFact("F1", f"rated {n} old films 5")
    return TextRequest("consumer_facets", f"consumer Jane{n}", "Be brief.", "", (slot,), MODEL, facts=(fact,))


def line(**changed: Any) -> str:
    """A good line that answers request 0 with claims; None takes a field out."""
    whole = {
        "model": "gpt-x",
        "revision": "7",
        "source": "job 12",
        "made_at": "2026-05-01T10:00:00Z",
        "request": request_of().key,
        "claims": [CLAIM],
        "prompt_tokens": 30,
        "completion_tokens": 9,
        **changed,
    }
    return json.dumps({name: value for name, value in whole.items() if value is not None})


def engine_of(folder: Path, *lines: str) -> ImportEngine:
    path = folder / "answers.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return ImportEngine(path)


def test_a_text_is_an_answer_of_the_model_that_made_it_with_its_provenance(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, line())
    (answer,) = engine.complete([request_of()])
    assert (engine.identity, answer.model, answer.finish) == (MODEL, MODEL, FinishReason.STOP)
    assert answer.claims == (Claim("They like old films.", Stance.FOR, 0.9, ("F1",)),)
    assert (answer.prompt_tokens, answer.completion_tokens) == (30, 9)
    assert answer.note == "job 12, 2026-05-01 10:00"


@pytest.mark.parametrize(
    "changed",
    [
        {"claims": None, "text": "They like old films."},
        {"request": None, "kind": "consumer_facets", "entity": "consumer Jane0"},
    ],
    ids=["plain text", "by entity"],
)
def test_a_line_may_hold_plain_text_and_name_the_entity(tmp_path: Path, changed: dict[str, Any]) -> None:
    (answer,) = engine_of(tmp_path, line(**changed)).complete([request_of()])
    assert (answer.finish, answer.lines) == (FinishReason.STOP, ("They like old films.",))


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        ({**CLAIM, "cites": ["F9"]}, "unknown fact: 'F9'"),
        ({**CLAIM, "stance": "against"}, "wrong side: "),
        ({"text": "x"}, "stance"),
    ],
)
def test_a_claim_is_judged_as_that_of_a_server(tmp_path: Path, claim: dict[str, Any], problem: str) -> None:
    (answer,) = engine_of(tmp_path, line(claims=[claim])).complete([request_of()])
    assert answer.finish is FinishReason.MALFORMED
    assert problem in answer.note


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["{"], "line 1: no JSON"),
        (["[]"], "line 1: Input should be"),
        ([line(), "", line(request="0" * 64, model="other")], "line 3: is of other@7, the first one is of gpt-x@7"),
        ([line(), line()], "line 2: answers the same request as line 1"),
        ([line(made_at="yesterday")], "line 1: made_at: Input should be a valid datetime"),
        ([line(made_at="2026-05-01T10:00:00")], "line 1: made_at: Input should have timezone"),
        ([line(source=None)], "line 1: source: Field required"),
        ([line(model="")], "line 1: model: String should have at least 1"),
        ([line(comment="x")], "line 1: comment: Extra inputs"),
        ([line(request=None)], "line 1: Value error, either `request`, or `kind` and `entity`"),
        ([line(text="They like old films.")], "line 1: Value error, either `claims` or `text`"),
        ([line(prompt_tokens=-1)], "line 1: prompt_tokens"),
        ([line(claims="They like")], "line 1: claims: Input should be a valid list"),
        ([json.dumps({"custom_id": "7", "response": {}})], "line 1: custom_id: String should match"),
        ([], "there are none"),
        (["{"] * 7, "line 5: no JSON"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_what_is_wrong(tmp_path: Path, lines: list[str], fault: str) -> None:
    with pytest.raises(InputError) as caught:
        _ = engine_of(tmp_path, *lines).identity
    assert fault in caught.value.found
    assert caught.value.expected.startswith("Each line is JSON with")
    assert caught.value.remedy


def test_many_faults_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 5: .* and 4 more"):
        _ = engine_of(tmp_path, *["{"] * 9).texts


def test_a_file_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        _ = ImportEngine(tmp_path / "missing.jsonl").identity


def test_only_what_the_file_holds_is_asked_of_it(tmp_path: Path) -> None:
    engine, both = engine_of(tmp_path, line()), [request_of(0), request_of(1)]
    assert answerable(both, engine) == both[:1]
    assert answerable(both, ScriptedEngine()) == both
    with pytest.raises(GenerationError, match="no text for the request"):
        list(engine.complete(both))


def test_an_exported_request_tells_all_that_answering_it_takes_but_not_whom_it_is_about() -> None:
    exported = request_line(request_of())
    line = json.loads(exported)
    assert line["request"] == request_of().key
    assert (line["model"], line["revision"]) == ("gpt-x", "7")
    assert line["facts"] == [{"label": "F1", "text": "rated 0 old films 5"}]
    assert line["claims"][0]["opening"] == "They like"
    assert line["schema"]["properties"]["claims"]
    assert "Jane" not in exported + batch_line(request_of())


def batch_result(content: str, finish: str = "stop") -> str:
    """What a batch service makes of an exported line."""
    sent = json.loads(batch_line(request_of()))
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}
    body = {"id": "c1", "created": 1777629600, "model": sent["body"]["model"], "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r1", "body": body}
    return json.dumps({"id": "b1", "custom_id": sent["custom_id"], "response": response, "error": None})


def test_the_result_of_a_batch_job_is_imported_as_it_is(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, batch_result(json.dumps({"claims": [CLAIM]})))
    (answer,) = engine.complete([request_of()])
    assert (engine.identity, answer.finish, answer.lines) == (MODEL, FinishReason.STOP, ("They like old films.",))
    assert (answer.prompt_tokens, answer.completion_tokens) == (40, 5)
    assert answer.note == "batch job of gpt-x, 2026-05-01 10:00"


def test_a_cut_answer_of_a_batch_job_is_kept_apart(tmp_path: Path) -> None:
    (answer,) = engine_of(tmp_path, batch_result('{"claims": [', "length")).complete([request_of()])
    assert answer.finish is FinishReason.LENGTH
