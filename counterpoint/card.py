"""`counterpoint card`: what a release is, for people and for programs."""

from __future__ import annotations

import sys

from pydantic import BaseModel

from features.errors import ReleaseError
from features.settings import HostSettings
from models.cards.explanations import ExplanationCard, read_judged
from models.cards.model import ModelCard
from models.release import ReleaseStore
from models.released import live_release


class Cards(BaseModel):
    """Both cards of a release; None for one that was made without."""

    model: ModelCard | None
    explanations: ExplanationCard | None


def read_cards(settings: HostSettings, release_id: str) -> Cards:
    """The cards that were signed with a release, with what was found of its texts since.

    Args:
        settings: of the home.
        release_id: an empty string means the live one.

    Raises:
        ReleaseError: there is no such release, it was changed, or it has no cards.
    """
    store = ReleaseStore(settings.releases)
    release_id = release_id or live_release(settings.releases).release_id
    model = store.read_document(release_id, f"{ModelCard.stem}.json")
    said = store.read_document(release_id, f"{ExplanationCard.stem}.json")
    if model is None and said is None:
        raise ReleaseError(
            f"The release {release_id} was made without cards.", remedy="`counterpoint release` makes one with cards."
        )
    explanations = ExplanationCard.model_validate_json(said) if said else None
    if explanations and explanations.judged is None:
        judged = read_judged(settings, explanations.text_set_hash)
        explanations = explanations.model_copy(update={"judged": judged})
    return Cards(model=ModelCard.model_validate_json(model) if model else None, explanations=explanations)


def show_cards(cards: Cards) -> None:
    """Prints both: laid out on a terminal, as markdown elsewhere."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    for card in (cards.model, cards.explanations):
        if card is not None:
            text = card.markdown()
            console.print(Markdown(text)) if console.is_terminal else sys.stdout.write(f"{text}\n")
