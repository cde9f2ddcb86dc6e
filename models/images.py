"""Images of products to vectors: a CLIP vision model from a host's own folder, each distinct image encoded once.

For those who have images; none and no such model come with the platform. Source of the model: Radford et al., "Learning
Transferable Visual Models From Natural Language Supervision", arXiv 2103.00020; ExplainRec (Ma et al.) sees products by
its image vectors. Weights are read from safetensors files alone, no code of a model's folder is run, and no network
is touched.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import struct
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError, SettingError
from features.lake import Lake
from features.types import VISUAL_COLUMNS, ModelIdentity, content_hash
from models.base import Progress, silent
from models.threads import free_cores, torch_threads
from models.vectors import KeptVectors, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
"""What is decoded, whatever a file is called: Pillow reads many more, some of them by outside programs."""
IMAGE_VECTORS = "image_vectors"
BATCH_SIZE = 16
"""Images that the model sees at once, each as small as it is prepared for it."""
SAVE_EVERY = 1024
"""Images after which their vectors are kept, so that a stopped encoding goes on."""
_SETTINGS, _PREPARATION = "config.json", "preprocessor_config.json"
_KINDS = ("clip", "clip_vision_model")

logger = logging.getLogger(__name__)


class ImageEncoder:
    """A CLIP vision model with its projection: vectors of length 1, in fp32. Weights are loaded at the first use.

    Args:
        folder: as `save_pretrained` writes a `CLIPModel` or `CLIPVisionModelWithProjection` and its image processor.
        threads: of torch, for the whole process while images are encoded; by default as many cores as are free.

    Raises:
        SettingError: the folder lacks a file, or its model is of another kind.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.folder, self.threads = folder, threads
        self._weights = sorted(folder.glob("*.safetensors"))
        missing = [name for name in (_SETTINGS, _PREPARATION) if not (folder / name).is_file()]
        missing += [] if self._weights else ["model.safetensors"]
        if missing:
            raise self._unfit(f"has no {' and no '.join(missing)}")
        try:
            kind = json.loads((folder / _SETTINGS).read_text(encoding="utf-8")).get("model_type")
        except (OSError, ValueError, AttributeError) as error:
            raise self._unfit(f"has a {_SETTINGS} that cannot be read ({error})") from error
        if kind not in _KINDS:
            raise self._unfit(f"holds a model of the kind {kind!r}")

    @cached_property
    def identity(self) -> ModelIdentity:
        """Name, and a revision that changes with the weights and with how images are prepared."""
        told = [(self.folder / name).read_text(encoding="utf-8") for name in (_SETTINGS, _PREPARATION)]
        weights = []
        for path in self._weights:
            with path.open("rb") as stream:
                weights.append(hashlib.file_digest(stream, "sha256").hexdigest())
        return ModelIdentity(self.folder.name, content_hash(told, weights, "l2-fp32-on-white")[:16])

    @property
    def files(self) -> list[Path]:
        """All that vectors depend on."""
        return [self.folder / _SETTINGS, self.folder / _PREPARATION, *self._weights]

    def prepared(self, image: Image) -> NDArray[np.float32]:
        """What the model sees of an image: (3, height, width), a few hundred kB however large the image is."""
        pixels: NDArray[np.float32] = self._loaded[0](image, return_tensors="np")["pixel_values"][0]
        return pixels

    def encode(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Vectors of prepared images, in order: float32 (N, width)."""
        import torch
        from torch.nn import functional

        _, model = self._loaded
        vectors = []
        with torch_threads(self.threads or free_cores()), torch.inference_mode():
            for start in range(0, len(prepared), BATCH_SIZE):
                pixels = torch.from_numpy(np.stack(prepared[start : start + BATCH_SIZE]))
                vectors.append(functional.normalize(model(pixel_values=pixels).image_embeds, dim=-1).numpy())
        return np.concatenate(vectors) if vectors else np.zeros((0, int(model.config.projection_dim)), np.float32)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """What prepares images, and the model. Raises SettingError if weights are missing or damaged."""
        import torch
        from safetensors import SafetensorError
        from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection
        from transformers.utils import logging as told

        told.disable_progress_bar()  # type: ignore[no-untyped-call]
        before = told.get_verbosity()
        told.set_verbosity(logging.ERROR)  # a whole CLIP's weights of texts are left out on purpose
        try:
            prepare = CLIPImageProcessorPil.from_pretrained(self.folder, local_files_only=True)
            loaded: Any = CLIPVisionModelWithProjection.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise self._unfit(f"cannot be loaded ({error})") from error
        finally:
            told.set_verbosity(before)
        model, found = loaded
        if found["missing_keys"]:  # they would be drawn at random
            raise self._unfit(f"lacks {len(found['missing_keys'])} weights, as {min(found['missing_keys'])}")
        self._check_size(prepare, model.config.image_size)
        return prepare, model.eval()

    def _check_size(self, prepare: Any, size: int) -> None:
        """Raises SettingError if images are prepared for another model."""
        from PIL import Image

        height, width = prepare(Image.new("RGB", (2, 3)), return_tensors="np")["pixel_values"].shape[-2:]
        if (height, width) != (size, size):
            raise self._unfit(f"prepares images of {width} x {height} pixels and sees images of {size} x {size}")

    def _unfit(self, found: str) -> SettingError:
        return SettingError(
            f"The image model {self.folder} {found}.",
            f"It must be a CLIP model as transformers saves it: {_SETTINGS}, {_PREPARATION} and *.safetensors.",
            "Correct COUNTERPOINT_IMAGE_MODEL.",
        )


@dataclass(frozen=True)
class Looks:
    """What was seen of a catalog's products."""

    visuals: pd.DataFrame
    """`VISUAL_COLUMNS`."""
    n_missing: int
    """Products without an image file."""
    n_unreadable: int
    """Products whose image file could not be decoded."""
    n_unknown: int
    """Image files that are named after no product, or after one that has another file already."""


def image_files(folder: Path) -> list[Path]:
    """The images of a folder, by name. Raises InputError if it is none."""
    if not folder.is_dir():
        raise InputError(
            f"The recipe's images are said to lie in {folder}, which is no folder.",
            "Images lie in one folder, each named by its product's id.",
            "Correct `images` in [data], or take it out.",
        )
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of files that are too large to be read only to see whether they are the same."""
    return [(path.name, it.st_size, it.st_mtime_ns) for path in files for it in [path.stat()]]


def looks_of(
    lake: Lake, encoder: ImageEncoder, folder: Path, product_ids: Iterable[str], progress: Progress = silent
) -> Looks:
    """What the products look like whose image lies in a folder; missing and unreadable ones are counted.

    Args:
        lake: keeps the vectors by the hash of the image's bytes.
        encoder: used for new images only.
        folder: of images named `<product id>.<suffix>`; what a file's name cannot hold is written as in a URL (`%2F`).
        product_ids: the catalog's.
        progress: called with ("looks", images done, images).

    Raises:
        InputError: there is no such folder, or it holds images and not one of a product.
    """
    wanted = list(dict.fromkeys(product_ids))
    files = image_files(folder)
    known = set(wanted)
    by_product: dict[str, Path] = {}
    for path in files:
        name = path.stem if path.stem in known else unquote(path.stem)
        if name in known:
            by_product.setdefault(name, path)
    if files and wanted and not by_product:
        raise InputError(
            f"None of the {len(files)} images in {folder} is named after a product; the first is {files[0].name}.",
            f"The catalog's first product is {wanted[0]!r}, its image {quote(wanted[0], safe=' ')}.jpg or the like.",
            "Name images by the ids of the products, or correct `images` in [data].",
        )
    vectors = _encoded(KeptVectors(lake, IMAGE_VECTORS, "image_hash", encoder.identity), encoder, by_product, progress)
    seen = sorted(vectors.items())  # by id: the order of a catalog's rows is not what it says
    looks = Looks(
        pd.DataFrame(seen, columns=list(VISUAL_COLUMNS)),
        n_missing=len(wanted) - len(by_product),
        n_unreadable=len(by_product) - len(vectors),
        n_unknown=len(files) - len(by_product),
    )
    logger.info(
        "Looks of %d products; %d have no image, %d an unreadable one; %d files are of no product.",
        len(seen), looks.n_missing, looks.n_unreadable, looks.n_unknown,
    )  # fmt: skip
    return looks


def _encoded(
    kept: KeptVectors, encoder: ImageEncoder, files: dict[str, Path], progress: Progress
) -> dict[str, NDArray[np.float32]]:
    """Vectors by product, of those whose image can be decoded."""
    digests = {product: hashlib.sha256(_bytes(path)).hexdigest() for product, path in files.items()}
    known, unkept = kept.read(set(digests.values())), Vectors()
    new = list({it: files[product] for product, it in digests.items() if it not in known}.items())
    progress("looks", 0, len(new))
    for start in range(0, len(new), BATCH_SIZE):
        seen = ((digest, _image(path)) for digest, path in new[start : start + BATCH_SIZE])
        made = {digest: encoder.prepared(image) for digest, image in seen if image}
        if made:
            unkept.update(zip(made, encoder.encode(list(made.values())), strict=True))
        done = min(start + BATCH_SIZE, len(new))
        if unkept and (done % SAVE_EVERY == 0 or done == len(new)):
            kept.add(unkept)
            known |= unkept
            unkept.clear()
        progress("looks", done, len(new))
    return {product: known[digest] for product, digest in digests.items() if digest in known}


def _image(path: Path) -> Image | None:
    """What a file shows; None, with a warning, where that cannot be seen."""
    image = decoded(_bytes(path))
    if image is None:
        logger.warning("The image %s cannot be decoded.", path.name)
    return image


def _bytes(path: Path) -> bytes:
    """Of a file; none where it cannot be read, which no decoder takes for an image."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def decoded(content: bytes) -> Image | None:
    """An image as it is looked at, in RGB; None where it cannot be decoded, or is too large to be one of a product."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.load()
                return _in_colours(_upright(image))
    except (
        OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning,
    ):  # fmt: skip
        return None


def _upright(image: Image) -> Image:
    """Turned as its metadata say; as it is, where they are damaged."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except (struct.error, TypeError, ValueError, SyntaxError):
        return image


def _in_colours(image: Image) -> Image:
    """In RGB, on white where it is transparent: what lies there is not seen, and is mostly black."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey, of which a conversion would take all but the darkest for white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image.convert("RGB")
