"""Images to vectors: which product a file is of, what is counted, what is encoded only once, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import InputError, SettingError
from features.lake import Lake
from features.visuals import VisualTable
from models import images
from models.images import ImageEncoder, Looks, decoded, looks_of


@pytest.fixture(scope="module")
def model(save_clip: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of images: two good ones, one that is none, one of no product."""
    folder = tmp_path / "images"
    folder.mkdir()
    draw(folder / "p1.png", seed=1)
    draw(folder / "a%2Fb.JPG", seed=2)
    (folder / "p3.png").write_bytes(b"no image")
    draw(folder / "stranger.png", seed=3)
    (folder / "notes.txt").write_text("not looked at")
    return folder


def draw(path: Path, seed: int, mode: str = "RGB") -> None:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), np.uint8)
    kind = "JPEG" if path.suffix.lower() == ".jpg" else None
    Image.fromarray(pixels).convert(mode).save(path, format=kind)


class Counting(ImageEncoder):
    """Counts what it encodes."""

    n_encoded = 0

    def encode(self, prepared):
        self.n_encoded += len(prepared)
        return super().encode(prepared)


PRODUCTS = ["p1", "a/b", "p3", "p4"]


def test_products_are_seen_by_the_name_of_their_file_and_the_rest_is_counted(
    model: Path, shop: Path, tmp_path: Path
) -> None:
    steps: list[tuple[str, int, int]] = []
    found = looks_of(Lake(tmp_path), ImageEncoder(model), shop, PRODUCTS, lambda *step: steps.append(step))
    assert (found.n_missing, found.n_unreadable, found.n_unknown) == (1, 1, 1)
    table = VisualTable.of(found.visuals)
    assert table is not None
    assert table.product_ids == ("a/b", "p1")
    assert table.width == 12
    np.testing.assert_allclose(np.linalg.norm(table.values, axis=1), 1, atol=1e-5)
    assert not np.allclose(table.values[0], table.values[1])
    assert steps[0] == ("looks", 0, 3)
    assert steps[-1] == ("looks", 3, 3)


def test_vectors_are_those_of_the_model(model: Path, shop: Path, tmp_path: Path) -> None:
    from PIL import Image
    from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

    found = looks_of(Lake(tmp_path), ImageEncoder(model), shop, ["p1"]).visuals["vector"][0]
    pixels = CLIPImageProcessorPil.from_pretrained(model)(Image.open(shop / "p1.png"), return_tensors="pt")
    with torch.inference_mode():
        expected = CLIPVisionModelWithProjection.from_pretrained(model)(**pixels).image_embeds[0].numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_a_whole_clip_will_do_with_the_preparation_of_older_versions(shop: Path, tmp_path: Path) -> None:
    """As the published models lie on disk; the half that reads texts is left out."""
    from PIL import Image
    from transformers import CLIPConfig, CLIPModel

    narrow = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    texts = {**narrow, "vocab_size": 50, "projection_dim": 12, "bos_token_id": 0, "eos_token_id": 1}
    looks = {**narrow, "image_size": 32, "patch_size": 8, "projection_dim": 12}
    whole = CLIPModel(CLIPConfig(text_config=texts, vision_config=looks, projection_dim=12)).eval()
    whole.save_pretrained(tmp_path)
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 32, "crop_size": 32, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    encoder, image = ImageEncoder(tmp_path), Image.open(shop / "p1.png").convert("RGB")
    with torch.inference_mode():
        seen = whole.vision_model(pixel_values=torch.from_numpy(encoder.prepared(image))[None]).pooler_output
        expected = whole.visual_projection(seen)[0].numpy()
    found = encoder.encode([encoder.prepared(image)])[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_an_image_is_encoded_once_whatever_it_is_called(model: Path, shop: Path, tmp_path: Path) -> None:
    lake, encoder = Lake(tmp_path), Counting(model)
    first = looks_of(lake, encoder, shop, PRODUCTS)
    assert encoder.n_encoded == 2
    (shop / "p4.png").write_bytes((shop / "p1.png").read_bytes())
    second = looks_of(lake, encoder, shop, PRODUCTS)
    assert encoder.n_encoded == 2
    np.testing.assert_array_equal(second.visuals["vector"].iloc[-1], first.visuals["vector"].iloc[-1])
    draw(shop / "p1.png", seed=9)
    looks_of(lake, encoder, shop, PRODUCTS)
    assert encoder.n_encoded == 3


def test_an_image_that_many_products_share_is_encoded_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the picture that says that there is none; also where the products are far apart."""
    monkeypatch.setattr(images, "BATCH_SIZE", 1)
    for name in "abc":
        draw(tmp_path / f"{name}.png", seed=1)
    steps: list[tuple[str, int, int]] = []
    encoder = Counting(model)
    found = looks_of(Lake(tmp_path / "lake"), encoder, tmp_path, "abc", lambda *step: steps.append(step))
    assert list(found.visuals["product_id"]) == ["a", "b", "c"]
    assert encoder.n_encoded == 1
    assert steps == [("looks", 0, 1), ("looks", 1, 1)]


def test_a_large_image_is_small_before_the_next_is_opened(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen photographs of 80 megapixels would take 4 GB."""
    for n in range(3):
        draw(tmp_path / f"{n}.png", seed=n)
    order, encoder, open_one = list[str](), ImageEncoder(model), images.decoded
    prepare = encoder.prepared
    monkeypatch.setattr(images, "decoded", lambda content: (order.append("opened"), open_one(content))[1])
    monkeypatch.setattr(encoder, "prepared", lambda image: (order.append("prepared"), prepare(image))[1])
    looks_of(Lake(tmp_path / "lake"), encoder, tmp_path, "012")
    assert order == ["opened", "prepared"] * 3


def test_a_stopped_encoding_goes_on(model: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BATCH_SIZE", 1)
    monkeypatch.setattr(images, "SAVE_EVERY", 1)

    def stop_at_one(_: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    lake, encoder = Lake(tmp_path), Counting(model)
    with pytest.raises(KeyboardInterrupt):
        looks_of(lake, encoder, shop, PRODUCTS, stop_at_one)
    looks_of(lake, encoder, shop, PRODUCTS)
    assert encoder.n_encoded == 2


def test_another_model_is_another_encoder(
    save_clip: Callable[..., Path], model: Path, shop: Path, tmp_path: Path
) -> None:
    other = save_clip(tmp_path / "clip", seed=1)
    assert ImageEncoder(other).identity != ImageEncoder(model).identity
    lake = Lake(tmp_path / "lake")
    one, two = (looks_of(lake, ImageEncoder(it), shop, ["p1"]).visuals["vector"][0] for it in (model, other))
    assert not np.allclose(one, two)


def test_without_any_image_there_is_no_look(model: Path, tmp_path: Path) -> None:
    found: Looks = looks_of(Lake(tmp_path / "lake"), ImageEncoder(model), tmp_path, ["p1"])
    assert VisualTable.of(found.visuals) is None
    with pytest.raises(InputError, match=r"nowhere, which is no folder.*\n.*\nCorrect `images` in \[data\]"):
        looks_of(Lake(tmp_path), ImageEncoder(model), tmp_path / "nowhere", ["p1"])


def test_the_order_of_a_catalogs_rows_is_not_seen(model: Path, shop: Path, tmp_path: Path) -> None:
    tables = [
        VisualTable.of(looks_of(Lake(tmp_path), ImageEncoder(model), shop, order).visuals)
        for order in (PRODUCTS, PRODUCTS[::-1])
    ]
    assert tables[0] is not None
    assert tables[1] is not None
    assert tables[0].content_hash == tables[1].content_hash


def test_images_that_are_all_named_otherwise_are_an_error(model: Path, shop: Path, tmp_path: Path) -> None:
    """Of some images without a product it is said how many there are; all of them are a mistake."""
    with pytest.raises(
        InputError, match=r"None of the 4 images .* first is a%2Fb\.JPG\.\n.*'x/1', its image x%2F1\.jpg"
    ):
        looks_of(Lake(tmp_path), ImageEncoder(model), shop, ["x/1"])
    assert looks_of(Lake(tmp_path), ImageEncoder(model), shop, []).n_unknown == 4


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_images_of_every_kind_are_read_in_colours(mode: str, tmp_path: Path) -> None:
    draw(tmp_path / "p.png", 1, mode)
    image = decoded((tmp_path / "p.png").read_bytes())
    assert image is not None
    assert (image.mode, image.size) == ("RGB", (50, 40))


def test_what_is_transparent_is_seen_on_white(tmp_path: Path) -> None:
    """As a shop's page shows it. What a file holds where nothing is seen does not count, and is mostly black."""
    from PIL import Image

    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / "keyed.png", transparency=(9, 9, 9))
    Image.new("RGBA", (2, 2), (255, 0, 0, 128)).save(tmp_path / "half.png")
    colours = {name: decoded((tmp_path / f"{name}.png").read_bytes()) for name in ("clear", "keyed", "half")}
    assert {name: image and image.getpixel((1, 1)) for name, image in colours.items()} == {
        "clear": (255, 255, 255),
        "keyed": (255, 255, 255),
        "half": (255, 127, 127),
    }


def test_sixteen_bits_of_grey_keep_their_shades(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.array([[0, 0x4000], [0x8000, 0xFFFF]], np.uint16)).save(tmp_path / "p.png")
    image = decoded((tmp_path / "p.png").read_bytes())
    assert image is not None
    assert np.asarray(image)[..., 0].tolist() == [[0, 0x40], [0x80, 0xFF]]


def test_an_image_is_turned_as_its_metadata_say_and_seen_as_it_is_where_they_are_damaged() -> None:
    """Shops pass photographs through many hands; a number that is stored as a text must not stop the others."""
    from PIL import Image

    noted, written = Image.Exif(), io.BytesIO()
    noted[0x010E], noted[0x0112] = "a lamp", 6  # what it shows, and that it lies on its side
    Image.new("RGB", (30, 20)).save(written, "JPEG", exif=noted)
    content = written.getvalue()
    turned, plain = decoded(content), decoded(content.replace(b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02"))
    assert turned is not None
    assert plain is not None
    assert (turned.size, plain.size) == ((20, 30), (30, 20))


def test_what_is_cut_off_too_large_or_of_another_format_is_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    draw(tmp_path / "p.png", 1)
    content = (tmp_path / "p.png").read_bytes()
    assert decoded(content) is not None
    assert decoded(content[: len(content) // 2]) is None
    Image.new("RGB", (4, 4)).save(tmp_path / "p.tga")
    assert decoded((tmp_path / "p.tga").read_bytes()) is None
    for most in (1500, 500):  # pixels from which Pillow warns; from twice as many it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        assert decoded(content) is None


def test_a_folder_that_holds_no_such_model_is_refused(save_clip: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"has no config\.json and no preprocessor_config\.json and no model\.safe"):
        ImageEncoder(tmp_path)
    save_clip(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "model_type": "vit"}))
    with pytest.raises(SettingError, match="of the kind 'vit'"):
        ImageEncoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**settings, "num_hidden_layers": 2}))
    with pytest.raises(SettingError, match=r"lacks \d+ weights"):
        ImageEncoder(tmp_path).encode([])
    (tmp_path / "config.json").write_text(json.dumps(settings))
    preparation = tmp_path / "preprocessor_config.json"
    small = {**json.loads(preparation.read_text()), "crop_size": {"height": 16, "width": 16}}
    preparation.write_text(json.dumps(small))
    with pytest.raises(SettingError, match="prepares images of 16 x 16 pixels and sees images of 32 x 32"):
        ImageEncoder(tmp_path).encode([])
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(SettingError, match=r"has no model\.safetensors"):
        ImageEncoder(tmp_path)
