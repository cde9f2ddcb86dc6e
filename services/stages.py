"""What an answer's time goes into: every stage is counted, and is a span where traces are kept.

Spans hold a stage's name and times, the request's its route, method and status besides: no id of a consumer, no text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from features.errors import SettingError
from services.metrics import metrics

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

Stage = Literal["store", "candidates", "shortlist", "model", "order", "contributions", "reasons"]


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Counts the seconds of what happens inside, and traces it."""
    started = time.perf_counter()
    with _tracer().start_as_current_span(name):
        try:
            yield
        finally:
            metrics().stage_seconds.labels(name).observe(time.perf_counter() - started)


@contextmanager
def request_span(route: str, method: str) -> Iterator[Span]:
    """The span of a request, which those of its stages lie in."""
    with _tracer().start_as_current_span(f"{method} {route}") as span:
        span.set_attribute("http.route", route)
        span.set_attribute("http.request.method", method)
        yield span


def keep_traces(where: str) -> None:
    """Has the spans of this process kept from now on (`provider`); nothing is kept where it is empty."""
    if where:
        from opentelemetry import trace

        trace.set_tracer_provider(provider(where))


def provider(where: str) -> TracerProvider:
    """What spans go to.

    Args:
        where: a file that spans are appended to, one JSON object per line, or the URL of an OTLP collector
            (`http://collector:4318/v1/traces`), for which opentelemetry-exporter-otlp-proto-http must be installed.

    Raises:
        SettingError: the exporter is not installed, or the file cannot be written.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider(resource=Resource({SERVICE_NAME: "counterpoint"}))
    made.add_span_processor(BatchSpanProcessor(_exporter(where)))
    return made


def _exporter(where: str) -> SpanExporter:
    if where.startswith(("http://", "https://")):
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise SettingError(
                f"COUNTERPOINT_TRACES is {where!r}, but the exporter for collectors is not installed.",
                remedy="Install opentelemetry-exporter-otlp-proto-http, or name a file.",
            ) from None
        exporter: SpanExporter = OTLPSpanExporter(endpoint=where)
        return exporter
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    path = Path(where).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return ConsoleSpanExporter(out=path.open("a", encoding="utf-8"), formatter=_as_line)
    except OSError as error:
        raise SettingError(f"COUNTERPOINT_TRACES names {where!r}, which cannot be written: {error}.") from error


def _as_line(span: ReadableSpan) -> str:
    return span.to_json(indent=None) + "\n"


@cache
def _tracer() -> Tracer:
    """A tracer of whichever provider there is; without one its spans cost next to nothing."""
    from opentelemetry import trace

    return trace.get_tracer("counterpoint")
