"""Every error the platform raises on purpose, in one tree.

CounterpointError
|-- InputError         what the user gave cannot be used (file, column, value, argument)
|-- SettingError       a recipe, a method's config or an environment variable is wrong
|-- CheckError         a blocking data contract failed; the next store was not written
|-- StoreError         the lake, the ledger, the feature store or a release cannot be read or written
|-- GenerationError    a language model could not be reached or broke the protocol
|-- TrainingError      training went wrong (a NaN loss, no usable row)
`-- ReleaseError       an artifact or a release was refused (hash, golden examples, worse metrics)

A message says what was found, what was expected and what to do, with values. The command line prints the
message alone, without a traceback, and exits with 1 (2 for InputError and SettingError).
"""

from __future__ import annotations


class CounterpointError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        """Joins up to three sentences: what was found, what was expected, what to do."""
        self.found, self.expected, self.remedy = found, expected, remedy
        super().__init__("\n".join(part for part in (found, expected, remedy) if part))


class InputError(CounterpointError):
    """What the user gave cannot be used."""

    exit_code = 2


class SettingError(CounterpointError):
    """A recipe, a config or an environment variable is wrong."""

    exit_code = 2


class CheckError(CounterpointError):
    """A blocking data contract failed, so the next store was not written."""


class StoreError(CounterpointError):
    """A store cannot be read or written."""


class GenerationError(CounterpointError):
    """A language model could not be reached or broke the protocol."""


class TrainingError(CounterpointError):
    """Training went wrong."""


class ReleaseError(CounterpointError):
    """An artifact or a release was refused."""
