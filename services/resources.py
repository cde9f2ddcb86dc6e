"""What is asked by its path and not by a body: BentoML (1.4.39) serves POST alone, so Starlette serves the others."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from features.errors import CounterpointError, InputError
from services.openapi import Endpoint
from services.schemas import ConsumerResponse, ConsumersResponse, ForgetResponse, InsightsResponse

if TYPE_CHECKING:
    from services.runtime import Runtime

INSIGHTS, CONSUMER = "/v1/products/{product_id}/insights", "/v1/consumers/{consumer_id}"
CONSUMERS = "/v1/consumers"
RESOURCES = (
    Endpoint(
        "GET",
        CONSUMERS,
        "Consumers of whom something is said, by how their id begins.",
        None,
        ConsumersResponse,
        (("starting", "How the ids begin; default: in any way."),),
    ),
    Endpoint("GET", CONSUMER, "What is known of a consumer.", None, ConsumerResponse),
    Endpoint("GET", INSIGHTS, "What speaks for and against a product over all consumers.", None, InsightsResponse),
    Endpoint("DELETE", CONSUMER, "Forget a consumer, from the next answer on.", None, ForgetResponse),
)


class Resources:
    """An ASGI app that is mounted before there is a runtime to ask."""

    def __init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route(INSIGHTS, self._insights, methods=["GET"]),
                Route(CONSUMERS, self._consumers, methods=["GET"]),
                Route(CONSUMER, self._consumer, methods=["GET"]),
                Route(CONSUMER, self._forget, methods=["DELETE"]),
            ]
        )
        self._runtime: Callable[[], Runtime] | None = None

    def serve(self, runtime: Callable[[], Runtime]) -> None:
        """From here on there is something to ask."""
        self._runtime = runtime

    def _insights(self, request: Request) -> Response:
        return self._answer(lambda runtime: runtime.profiles.insights(request.path_params["product_id"]))

    def _consumers(self, request: Request) -> Response:
        return self._answer(lambda runtime: runtime.profiles.consumers(request.query_params.get("starting", "")))

    def _consumer(self, request: Request) -> Response:
        return self._answer(lambda runtime: runtime.profiles.consumer(request.path_params["consumer_id"]))

    def _forget(self, request: Request) -> Response:
        return self._answer(lambda runtime: runtime.forget(request.path_params["consumer_id"]))

    def _answer(self, ask: Callable[[Runtime], BaseModel]) -> Response:
        try:
            if self._runtime is None:
                return _error(HTTPStatus.SERVICE_UNAVAILABLE, "The service is starting.")
            answer = ask(self._runtime())
        except InputError as error:
            return _error(HTTPStatus.NOT_FOUND, str(error))
        except CounterpointError as error:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return Response(answer.model_dump_json(), media_type="application/json")


def _error(status: HTTPStatus, detail: str) -> Response:
    return JSONResponse({"error": detail}, status)
