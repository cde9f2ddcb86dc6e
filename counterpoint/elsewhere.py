"""`counterpoint export-requests` and `import-texts`: the language model's work, done on another machine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import BaseModel

from features.errors import InputError
from features.settings import HostSettings
from flows.recipe import Recipe

SHOWN_REASONS = 5


class Exported(BaseModel):
    """What was written."""

    file: str
    requests: int
    """Those without an answer, most valuable first."""
    model: str
    revision: str


class Imported(BaseModel):
    """What became of a file's texts."""

    model: str
    revision: str
    texts: int
    """In the file."""
    kept: int
    """Of these, now in the ledger."""
    known: int
    """Requests that the ledger could answer before; their texts stay as they were."""
    unusable: dict[str, int]
    """Those kept apart by how they ended, never served."""
    reasons: dict[str, int]
    """The commonest reasons."""
    unused: int
    """Texts that answer nothing that is asked now."""
    unasked: int
    """Requests that neither the file nor the ledger answers; their facts are worded by a template."""


def export_requests(
    settings: HostSettings, recipe: Recipe, file: Path, model: str, revision: str, batch: bool
) -> Exported:
    """Writes the requests that have no answer by a model yet.

    Args:
        settings: of the home.
        recipe: what is asked.
        file: JSON lines; overwritten.
        model: that will answer; part of every request's key.
        revision: of the model.
        batch: writes the lines of a batch job in place of plain ones.

    Raises:
        InputError: the file cannot be written.
    """
    from flows.explain import plan_explanations
    from flows.workspace import Workspace
    from models.llm.imported import batch_line, imported_identity, request_line

    plan = plan_explanations(Workspace.of(settings), recipe, imported_identity(model, revision))
    line = batch_line if batch else request_line
    try:
        with file.open("w", encoding="utf-8") as out:
            out.writelines(f"{line(row.request)}\n" for row in plan.to_make)
    except OSError as error:
        raise InputError(f"The requests could not be written to {file}: {error}.") from error
    return Exported(file=str(file), requests=len(plan.to_make), model=model, revision=revision)


def import_texts(settings: HostSettings, recipe: Recipe, file: Path) -> Imported:
    """Reads texts of another machine into the ledger, which also gives corrected texts another chance.

    Raises InputError naming the lines of the file that cannot be used; nothing is imported then.
    """
    from features.ledger import Ledger
    from flows.explain import plan_explanations
    from flows.workspace import Workspace
    from models.explanations.plan import Fate
    from models.llm.generate import generate
    from models.llm.imported import PREFIX, ImportEngine, answerable

    engine, workspace = ImportEngine(file), Workspace.of(settings)
    plan = plan_explanations(workspace, recipe, engine.identity)
    asked = [row.request for row in plan.rows]
    fitting = answerable(asked, engine)
    known = {row.request.key for row in plan.rows if row.fate in (Fate.LEDGER, Fate.KEPT)}
    with Ledger(settings.ledger_url) as ledger:
        report = generate(fitting, engine, ledger, workspace.progress, retry_failed=True)
        mine = {request.key for request in fitting}
        unusable = ledger.failed(mine)
        notes = {failure.request_key: failure.note for failure in ledger.failures()}  # the last one of each
    return Imported(
        model=engine.identity.name.removeprefix(PREFIX),
        revision=engine.identity.revision,
        texts=len(engine.texts),
        kept=report.made - sum(report.failed.values()),
        known=len(known),
        unusable=dict(Counter(finish.value for finish in unusable.values())),
        reasons=dict(Counter(notes[key].split(";")[0] for key in unusable).most_common(SHOWN_REASONS)),
        unused=len(engine.texts) - len(fitting),
        unasked=len({request.key for request in asked} - known - mine),
    )
