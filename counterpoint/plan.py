"""`counterpoint explain --dry-run`: what a generation would ask, in which order, and what that would cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel

from features.settings import HostSettings

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

    from flows.recipe import Recipe
    from models.explanations.plan import Plan, PlannedRequest

SHOWN = 15
"""Requests listed from the top of the order."""


class PlanLine(BaseModel):
    """The requests of one kind, or all of them: how many there are of each fate, and what is bought."""

    kind: str
    from_ledger: int
    kept: int
    """From the ledger as well, for facts that were kept although newer ones could be made."""
    failed: int
    to_buy: int
    waiting: int
    """Over the budget."""
    tokens: int
    """Expected of those to buy."""
    tokens_waiting: int


class NextText(BaseModel):
    """A request that will be made, or waits, and why it has its place."""

    subject: str
    fate: str
    traffic: int
    uncertainty: float
    age_days: float
    priority: float
    tokens: int


class PlanView(BaseModel):
    """Everything the dry run tells."""

    kinds: list[PlanLine]
    total: PlanLine
    expected_seconds: float | None
    """Of what is bought, at the pace of past runs; None before the first."""
    next: list[NextText]


def read_plan(settings: HostSettings, recipe: Recipe) -> PlanView:
    """Plans a generation. Asks no model and writes nothing."""
    from flows.explain import plan_explanations
    from flows.workspace import Workspace

    return view(plan_explanations(Workspace.of(settings), recipe))


def view(plan: Plan) -> PlanView:
    """A plan in numbers."""
    kinds = sorted({row.request.kind for row in plan.rows})
    total = _line("all", plan.rows)
    seconds = plan.expected_seconds(total.to_buy)
    return PlanView(
        kinds=[_line(kind, [row for row in plan.rows if row.request.kind == kind]) for kind in kinds],
        total=total,
        expected_seconds=None if seconds is None else round(seconds, 1),
        next=[_next(row) for row in plan.to_make[:SHOWN]],
    )


def _line(kind: str, rows: Sequence[PlannedRequest]) -> PlanLine:
    from models.explanations.plan import Fate

    of = {fate: [row for row in rows if row.fate is fate] for fate in Fate}
    return PlanLine(
        kind=kind,
        from_ledger=len(of[Fate.LEDGER]),
        kept=len(of[Fate.KEPT]),
        failed=len(of[Fate.FAILED]),
        to_buy=len(of[Fate.BUY]),
        waiting=len(of[Fate.WAITING]),
        tokens=sum(row.tokens for row in of[Fate.BUY]),
        tokens_waiting=sum(row.tokens for row in of[Fate.WAITING]),
    )


def _next(row: PlannedRequest) -> NextText:
    return NextText(
        subject=row.request.subject,
        fate=row.fate.value,
        traffic=row.worth.traffic,
        uncertainty=round(row.worth.uncertainty, 3),
        age_days=round(row.worth.age_days, 1),
        priority=round(row.worth.priority, 2),
        tokens=row.tokens,
    )


def show_plan(plan: PlanView) -> None:
    """Prints it for people."""
    from rich.console import Console

    console = Console()
    console.print(_table("What a generation would do", [*plan.kinds, plan.total]))
    if plan.next:
        console.print(_table(f"What comes first (of {plan.total.to_buy + plan.total.waiting})", plan.next))
    pace = "unknown: nothing was made yet" if plan.expected_seconds is None else f"{plan.expected_seconds:,.0f} s"
    console.print(f"To buy: {plan.total.to_buy} texts, about {plan.total.tokens:,} tokens; expected time {pace}.")
    console.print("Nothing was asked and nothing was written.")


def _table(title: str, lines: Sequence[BaseModel]) -> Table:
    """A column per field."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    for name in type(lines[0]).model_fields:
        justify: JustifyMethod = "left" if name in ("kind", "subject", "fate") else "right"
        table.add_column(name.replace("_", " "), justify=justify, overflow="fold")  # kinds differ in their ends
    for line in lines:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for _, value in line))
    return table
