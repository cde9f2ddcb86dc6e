"""`counterpoint demo`: the whole job on the built-in world, and one consumer's recommendations over HTTP."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from counterpoint.server import running_service
from features.settings import HostSettings
from flows.workspace import prepare_environment, require_room

if TYPE_CHECKING:
    from services.schemas import RecommendResponse

NEXT = """
What to try next (the demo lives in {home}):
  COUNTERPOINT_HOME={home} {command} recommend {consumer}
      ask again, in this process
  COUNTERPOINT_HOME={home} {command} status
      stages, tokens and the live release
  COUNTERPOINT_HOME={home} {command} serve
      the service on http://127.0.0.1:3000
  {command} run --interactions FILE --catalog FILE
      your own data
Every data check of the demo: {home}/reports/quality.html
"""


def run_demo() -> None:
    """Runs the recipe `world/demo` in a home of its own, serves it, asks, prints, stops."""
    started = time.perf_counter()
    os.environ["COUNTERPOINT_HOME"] = str(HostSettings.from_environment().home / "demo")
    settings = HostSettings.from_environment()
    prepare_environment(settings)
    require_room(settings)

    from rich.console import Console

    from counterpoint.show import show_answer, show_result
    from flows.attended import start_server
    from flows.recipe import choose_recipe
    from flows.run import run

    console = Console()
    console.print("[bold]Counterpoint demo[/]: 300 consumers, 200 products, 6,000 ratings of a made-up shop.\n")
    start_server()
    show_result(run(choose_recipe(settings.home, "world/demo", "", "", "", "")))
    consumer = busiest_consumer(settings)
    console.print(f"\nStarting the service and asking it what to recommend to {consumer} ...")
    with running_service(settings, settings.home / "service.log") as url:
        show_answer(ask(url, consumer, k=3))
    console.print(f"The service is stopped. The demo took {time.perf_counter() - started:.0f} s.")
    home, command = os.path.relpath(settings.home), os.path.relpath(sys.argv[0])
    console.print(
        NEXT.format(home=home, command=command, consumer=consumer), highlight=False, markup=False, soft_wrap=True
    )


def busiest_consumer(settings: HostSettings) -> str:
    """The consumer with the most interactions: the one with the most to argue about."""
    from features.lake import Lake

    return str(Lake(settings.lake).read("interactions")["consumer_id"].value_counts().index[0])


def ask(url: str, consumer_id: str, k: int) -> RecommendResponse:
    """POST /v1/recommend."""
    import httpx

    from services.schemas import RecommendResponse

    answer = httpx.post(f"{url}/v1/recommend", json={"consumer_id": consumer_id, "k": k}, timeout=60)
    answer.raise_for_status()
    return RecommendResponse.model_validate(answer.json())
