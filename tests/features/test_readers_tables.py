"""Own tables: common names are guessed, a mapping settles the rest, and mistakes are told with their remedy."""

import json
from pathlib import Path

import pandas as pd
import pytest

from features.errors import InputError
from features.readers.registry import LAYOUTS, detect_layout, read_dataset
from features.types import RatingScale

EVENTS = "user,item,stars,when\nann,1,5,2024-01-01\nbob,1,2,2024-01-02\n"
MAPPING = '[interactions]\ntimestamp = "when"\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "interactions.csv").write_text(EVENTS)
    (tmp_path / "catalog.csv").write_text("item,name,colour,price\n1,Lamp,red|blue,19.5\n")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return tmp_path


def test_common_names_are_guessed_and_other_columns_become_attributes(shop: Path):
    assert detect_layout(shop) == "tables"
    dataset = read_dataset("tables", shop)
    assert dataset.interactions.frame["consumer_id"].tolist() == ["ann", "bob"]
    assert dataset.catalog.products["title"].tolist() == ["Lamp"]
    assert dataset.catalog.attributes.to_numpy().tolist() == [
        ["1", "colour", "red"],
        ["1", "colour", "blue"],
        ["1", "price_band", "10 to 25"],
    ]


def test_a_missing_column_tells_what_was_found_and_how_to_map(shop: Path):
    (shop / "mapping.toml").unlink()
    with pytest.raises(InputError) as refusal:
        read_dataset("tables", shop)
    message = str(refusal.value)
    assert "no column for timestamp; its columns are user, item, stars, when" in message
    assert "[interactions]\nconsumer_id =" in message


def test_missing_ratings_are_called_required(shop: Path):
    (shop / "interactions.csv").write_text(EVENTS.replace("stars", "views"))
    with pytest.raises(InputError, match=r"no column for rating \(ratings are required"):
        read_dataset("tables", shop)


def test_a_mapping_may_be_json_elsewhere_and_sets_scale_files_and_attributes(shop: Path):
    (shop / "interactions.csv").rename(shop / "log.csv")
    mapping = {
        "interactions": {"file": "log.csv", "timestamp": "when"},
        "catalog": {"attributes": ["colour"], "separator": ";"},
        "scale": {"low": 0, "high": 10, "like_from": 7},
    }
    path = shop / "other.json"
    path.write_text(json.dumps(mapping))
    dataset = read_dataset("tables", shop, mapping=path)
    assert dataset.scale == RatingScale(0, 10, 7)
    assert dataset.catalog.attributes["value"].tolist() == ["red|blue"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ('[interactions]\nuser = "x"', "interactions.user: Extra inputs"),
        ('[interactions]\nrating = "marks"', "no column 'marks', which the mapping gives for rating"),
        ("[interactions", "neither valid TOML nor JSON"),
    ],
)
def test_a_wrong_mapping_is_told_where(shop: Path, mapping: str, message: str):
    (shop / "mapping.toml").write_text(mapping)
    with pytest.raises(InputError, match=message):
        read_dataset("tables", shop)


@pytest.mark.parametrize("ending", ["tsv", "jsonl", "parquet", "csv.gz"])
def test_every_kind_of_table_gives_the_same_dataset(shop: Path, ending: str):
    expected = read_dataset("tables", shop).interactions.frame
    frame = pd.read_csv(shop / "interactions.csv")
    (shop / "interactions.csv").unlink()
    path = shop / f"interactions.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    pd.testing.assert_frame_equal(read_dataset("tables", shop).interactions.frame, expected)


def test_a_single_file_without_catalog_is_enough(tmp_path: Path):
    path = tmp_path / "likes.csv"
    path.write_text(EVENTS.replace("when", "date"))
    dataset = read_dataset("", path)
    assert (dataset.name, dataset.catalog.products["title"].tolist()) == ("likes", ["1"])


def test_the_wrong_encoding_is_told_by_byte_and_line(shop: Path):
    (shop / "catalog.csv").write_bytes("item,name\n1,Lamp\n2,Café\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"catalog\.csv is not UTF-8: it fails at byte 22 \(0xe9\), in line 3"):
        read_dataset("tables", shop)


def test_a_line_with_too_many_fields_is_told(shop: Path):
    (shop / "interactions.csv").write_text(EVENTS + "eve,1,5,2024-01-03,what\n")
    with pytest.raises(InputError, match=r"line 4, saw 5"):
        read_dataset("tables", shop)


@pytest.mark.parametrize("content", ["", "user,item,stars,when\n"])
def test_an_empty_table_is_refused(shop: Path, content: str):
    (shop / "interactions.csv").write_text(content)
    with pytest.raises(InputError, match=r"is empty|holds no interactions"):
        read_dataset("tables", shop)


def test_values_of_any_kind_are_kept_or_set_aside_but_never_break_the_reading(tmp_path: Path):
    good = {"user": "ann", "stars": 5, "date": 1700000000, "row": "mine"}
    odd = [{"user": ["a"]}, {"stars": None}, {"stars": {}}, {"date": []}, {"date": 1e300}, {"item": None}]
    records = [{**good, "item": number} for number in range(30)] + [{**good, "item": "x", **one} for one in odd]
    (tmp_path / "interactions.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n[1]\n")
    dataset = read_dataset("", tmp_path)
    assert dataset.n_read == 37
    assert dataset.quarantined["row"].tolist() == [31, 32, 33, 34, 35, 36]


def test_recbole_files_bring_typed_columns(tmp_path: Path):
    (tmp_path / "ml.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t4\t100\n")
    (tmp_path / "ml.item").write_text(
        "item_id:token\tmovie_title:token_seq\tclass:token_seq\tyear:token\tvector:float_seq\n"
        "2\tToy Story\tComedy Animation\t1995\t.1 .2\n"
    )
    dataset = read_dataset(detect_layout(tmp_path), tmp_path)
    assert dataset.name == "ml"
    assert dataset.catalog.products["title"].tolist() == ["Toy Story"]
    assert dataset.catalog.attributes["value"].tolist() == ["Comedy", "Animation", "1995"]


def test_recbole_without_ratings_is_refused(tmp_path: Path):
    (tmp_path / "ml.inter").write_text("user_id:token\titem_id:token\n1\t2\n")
    with pytest.raises(InputError, match="no column timestamp, rating"):
        read_dataset("recbole", tmp_path)


def test_unknown_layouts_folders_and_foreign_options_are_refused(shop: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no layout 'netflix'"):
        read_dataset("netflix", shop)
    with pytest.raises(InputError, match="no file or folder"):
        read_dataset("tables", tmp_path / "nowhere")
    with pytest.raises(InputError, match="takes no mapping"):
        read_dataset("recbole", shop, mapping=shop / "mapping.toml")
    with pytest.raises(InputError, match="has a catalog of its own"):
        read_dataset("movielens-1m", shop, catalog=shop / "catalog.csv")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_folder_is_refused_by_every_layout(tmp_path: Path, layout: str):
    with pytest.raises(InputError, match="nothing"):
        read_dataset(layout, tmp_path)


def test_a_folder_of_no_known_layout_lists_what_it_holds(tmp_path: Path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match=r"it holds holiday\.jpg"):
        detect_layout(tmp_path)


def test_a_first_line_with_too_many_fields_is_refused_and_not_cut(shop: Path):
    (shop / "interactions.csv").write_text("user,item,stars,when\nann,1,5,2024-01-01,loud, heavy\n")
    with pytest.raises(InputError, match="same number of fields"):
        read_dataset("tables", shop)


def test_names_of_columns_are_guessed_whatever_spaces_are_around_them(shop: Path):
    (shop / "mapping.toml").unlink()
    (shop / "interactions.csv").write_text("User ID, Item ID, Stars, Date\nann,1,5,2024-01-01\n")
    assert read_dataset("tables", shop).n_read == 1


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_fields_parted_by_another_sign_are_told(shop: Path, sign: str, word: str):
    (shop / "mapping.toml").unlink()
    (shop / "interactions.csv").write_text(EVENTS.replace(",", sign))
    with pytest.raises(InputError, match=f"its fields are parted by {word}"):
        read_dataset("tables", shop)


@pytest.mark.parametrize(
    ("content", "found"), [('[{"user": "ann"}]\n', "no line that is a JSON object"), ("", "empty")]
)
def test_json_without_lines_is_told(tmp_path: Path, content: str, found: str):
    path = tmp_path / "interactions.json"
    path.write_text(content)
    with pytest.raises(InputError, match=found):
        read_dataset("tables", path)


def test_text_of_windows_is_told_to_be_utf_16(shop: Path):
    (shop / "interactions.csv").write_text(EVENTS, encoding="utf-16")
    with pytest.raises(InputError, match="iconv -f utf-16"):
        read_dataset("tables", shop)


def test_a_scale_that_is_upside_down_is_refused(shop: Path):
    (shop / "mapping.toml").write_text(f"{MAPPING}[scale]\nlow = 5\nhigh = 1\n")
    with pytest.raises(InputError, match=r"scale: .*low must be less than like_from"):
        read_dataset("tables", shop)
