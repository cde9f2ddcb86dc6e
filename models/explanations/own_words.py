"""Words that no release has, coded by what coded the release's own: its encoder and the autoencoder of its artifact."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from threading import Lock, Thread

from features.errors import CounterpointError, InputError, SettingError
from features.types import ModelIdentity
from models.explanations.codes import Coded, Coder, coded
from models.text import Encoder


class OwnWords:
    """Codes texts of requests; keeps none of them. Safe to call from several threads."""

    def __init__(self, encoder: Encoder, released: ModelIdentity, coder: Coder | None) -> None:
        """Opens nothing: the encoder reads its weights at the first text.

        Args:
            encoder: that of this host.
            released: the encoder that the release was made with.
            coder: the release's autoencoder; None if it came without one.
        """
        self._encoder, self._released, self._coder = encoder, released, coder
        self._lock, self._expected = Lock(), False

    def expect(self) -> None:
        """Has the encoder read its weights, once and beside other work, so that the first own words need not wait."""
        if not self._expected:
            self._expected = True
            Thread(target=self._code_something, name="own-words", daemon=True).start()

    def _code_something(self) -> None:
        with suppress(CounterpointError):  # whoever then has words of their own is told
            self.coded(["words"])

    def coded(self, texts: Sequence[str]) -> Coded:
        """Vectors and codes of texts. Raises InputError if they would not be those that a run would have made."""
        if self._coder is None:
            raise InputError(
                "Own words cannot be coded: the release came without an autoencoder.",
                remedy="Change weights alone, or release a model that was trained with texts.",
            )
        try:
            here = self._encoder.identity
        except SettingError as error:
            raise InputError(f"Own words cannot be coded: {error}") from error
        if here != self._released:
            raise InputError(
                f"Own words cannot be coded: the text encoder here is {_told(here)}.",
                f"The release was made with {_told(self._released)}.",
                "Change weights alone, or install the encoder's package that the release was made with.",
            )
        with self._lock:  # the encoder sets torch's threads, which are the process's
            return coded(texts, self._encoder.encode, self._coder)


def _told(encoder: ModelIdentity) -> str:
    return f"{encoder.name}, revision {encoder.revision}"
