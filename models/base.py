"""What every method is: fit on assembled features, score them, save and load without pickle.

`score` is the only scorer: evaluation, batch jobs and the endpoint call it with batches made by
`features/assemble.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.batch import ConsumerBlock, FeatureBatch, ProductBlock, TrainingSet
from features.errors import InputError, SettingError
from features.prompt_texts import PromptTexts
from features.types import RatingScale
from features.visuals import VisualTable
from models.held import Crossed, Held


class MethodConfig(BaseModel):
    """Base of the methods' hyper-parameters: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Hashes of the files that the settings name: what is learned from them is learned anew where they change."""
        return ()


Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) while long work runs."""


def silent(what: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


@dataclass(frozen=True)
class TextGround:
    """What a method needs to tune a language model while it is fitted; none of it is there when it scores."""

    texts: PromptTexts
    base: Callable[[], Path]
    """Makes ready the folder of the network that is tuned, and names it."""
    state: Path | None = None
    """Folder where a half-done tuning is kept, so that a stopped one goes on; None keeps none."""


@dataclass(frozen=True)
class RunContext:
    """What is not a hyper-parameter: device, seed, who sees progress, and texts and looks for who reads them."""

    seed: int = 0
    device: str = "cpu"
    progress: Progress = silent
    ground: TextGround | None = None
    visuals: VisualTable | None = None
    """What products look like, for methods that read it; they keep what they need of it."""
    state: Path | None = None
    """Folder where the half-done trainings of this fit alone (method, config and rows) are kept, so that a killed one
    goes on; None keeps none."""
    save_seconds: float = 300.0
    """Between two writes of a training's state."""


@dataclass(frozen=True)
class FitReport:
    """What fitting took and reached; losses are by epoch."""

    epochs: int
    best_epoch: int
    valid_loss: tuple[float, ...]
    seconds: float
    n_parameters: int
    train_loss: tuple[float, ...] = ()
    """Mean over the rows of an epoch, each before its step; empty for a method that learns in closed form."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of N pairs; NaN where a method cannot score."""

    rating: NDArray[np.float32]  # (N,) stars on the dataset's scale
    click: NDArray[np.float32]  # (N,) probability of liking, 0..1
    fields: tuple[str, ...] = ()
    attention: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(N, K): how much each of the K `fields` was attended to; rows sum to 1. Empty if there is none."""


@dataclass(frozen=True)
class AttributeLevel:
    """How much one consumer cares for one attribute, 1 to 10."""

    name: str
    description: str
    level: float


class Recommender(ABC):
    """A method: made from its config, fitted once, then only scored."""

    name: ClassVar[str]
    config_type: ClassVar[type[MethodConfig]]

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        self.config, self.scale = config, scale

    @abstractmethod
    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Learns from `train`, chooses the epoch on `valid`. Raises TrainingError."""

    def fit_like(self, other: Recommender | None, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """As `fit`, and may take over what a variant learned from the same training rows, where config and texts have
        no say in it.
        """
        return self.fit(train, valid, run)

    @abstractmethod
    def score(self, batch: FeatureBatch) -> Scores:
        """Scores any batch; unknown consumers and products are normal cases."""

    def hold(self, products: ProductBlock) -> Held:
        """The products made ready to be scored for one consumer after the other."""
        return Crossed(self, products)

    def additive(self, batch: FeatureBatch) -> Mapping[str, NDArray[np.float32]] | None:
        """Parts (N,) of the log odds of liking, by name, that add up to them exactly; None if the method is no sum."""
        return None

    def levels(self, consumer: ConsumerBlock) -> tuple[AttributeLevel, ...]:
        """Of one consumer, how much each attribute counts; empty for a method without attributes."""
        return ()

    def adjusted(self, levels: Mapping[str, float]) -> Self:
        """The same method with attributes of every consumer at these levels; the others stay where they are.

        Raises:
            InputError: there is no such attribute, or the level is off the scale.
        """
        if levels:
            raise InputError(
                f"The attribute {min(levels)!r} was set, but the method {self.name} has no attributes.",
                remedy="Leave attributes out, or release a method that has some, such as guided.",
            )
        return self

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes weights (safetensors) and vocabularies (JSON) into an existing folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit."""


_REGISTRY: dict[str, type[Recommender]] = {}


def register(name: str, config_type: type[MethodConfig]) -> Callable[[type[Recommender]], type[Recommender]]:
    """Class decorator that makes a method known by its name. Raises SettingError on a second one."""

    def add(method: type[Recommender]) -> type[Recommender]:
        if name in _REGISTRY and _REGISTRY[name].__qualname__ != method.__qualname__:
            raise SettingError(f"Two methods are called {name!r}: {_REGISTRY[name]!r} and {method!r}.")
        method.name, method.config_type = name, config_type
        _REGISTRY[name] = method
        return method

    return add


def find_method(name: str) -> type[Recommender]:
    """The method of that name, from the files of `models/methods`. Raises SettingError if there is none."""
    import importlib
    import pkgutil

    import models.methods

    for module in pkgutil.iter_modules(models.methods.__path__):
        importlib.import_module(f"models.methods.{module.name}")
    if name not in _REGISTRY:
        raise SettingError(f"There is no method {name!r}.", f"There are: {', '.join(sorted(_REGISTRY))}.")
    return _REGISTRY[name]
