"""What an answer spends its time on can be read in metrics and traces, and neither says who asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.serving import Recorder, alone, shortlist_recall
from features.errors import SettingError
from services import stages
from services.metrics import exposition
from services.runtime import Runtime
from services.schemas import RecommendRequest


def kept_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """Spans go to this file instead of the process's own provider, which can be set once only."""
    made = stages.provider(str(path))
    monkeypatch.setattr(stages, "_tracer", lambda: made.get_tracer("counterpoint"))
    return made


def test_a_request_is_one_span_with_its_stages_inside(
    runtime: Runtime, guarded: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = kept_in(tmp_path / "traces" / "spans.jsonl", monkeypatch)

    async def service(scope: Any, receive: Any, send: Any) -> None:
        runtime.recommend(RecommendRequest(consumer_id="c1"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    guarded(service)(path="/v1/recommend")
    spans.shutdown()
    text = (tmp_path / "traces" / "spans.jsonl").read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    *inner, request = found
    assert request["name"] == "POST /v1/recommend"
    assert request["attributes"] == {
        "http.route": "/v1/recommend",
        "http.request.method": "POST",
        "http.response.status_code": 200,
    }
    names = [span["name"] for span in inner]
    assert names[:6] == ["store", "candidates", "shortlist", "store", "model", "order"]
    assert {span["parent_id"] for span in inner} == {request["context"]["span_id"]}
    assert '"c1"' not in text
    assert "Title" not in text


def test_stages_are_counted_also_where_nothing_is_traced(runtime: Runtime) -> None:
    runtime.recommend(RecommendRequest(consumer_id="c1", contributions=True))
    shown = exposition().decode()
    for name in ("store", "candidates", "shortlist", "model", "order", "contributions", "reasons"):
        assert f'counterpoint_stage_seconds_count{{stage="{name}"}}' in shown


def test_a_trace_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="cannot be written"):
        stages.provider(str(tmp_path / "file" / "spans.jsonl"))


def test_a_collector_needs_its_exporter() -> None:
    with pytest.raises(SettingError, match="opentelemetry-exporter-otlp-proto-http"):
        stages.provider("http://localhost:4318/v1/traces")


def test_the_benchmark_reads_the_same_stages(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(stages, "_tracer", lambda: recorder.provider.get_tracer("counterpoint"))
    measured = recorder.stages([lambda: runtime.recommend(RecommendRequest(consumer_id="c1"))] * 3)
    assert set(measured) == {
        "whole", "serialisation", "store", "candidates", "shortlist", "model", "order", "reasons",
    }  # fmt: skip
    parts = sum(figures["p50_ms"] for name, figures in measured.items() if name != "whole")
    assert 0 < parts <= measured["whole"]["p99_ms"] * 1.5
    assert min(alone(runtime, ["c1"], seconds=0.01).values()) > 0
    assert shortlist_recall(runtime, ["c1"]) == []
