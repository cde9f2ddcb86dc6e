"""Amazon reviews of three generations become the same tables, without the reviewers' names."""

import gzip
import json
from pathlib import Path

import pytest

from features.errors import InputError
from features.readers.registry import detect_layout, read_dataset

REVIEW_2014 = {
    "reviewerID": "A1",
    "asin": "P1",
    "reviewerName": "Jane Doe",
    "reviewText": "It&#34;s loud &amp; clear.<br />Good.",
    "overall": 5.0,
    "summary": "Love it",
    "unixReviewTime": 1393545600,
}
REVIEW_2023 = {
    "user_id": "A2",
    "asin": "P1-red",
    "parent_asin": "P1",
    "rating": 2.0,
    "title": "Broke",
    "text": "Broke after a day.",
    "timestamp": 1393545601000,
}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_fields_of_every_generation_are_understood(tmp_path: Path):
    write(tmp_path / "Reviews.jsonl", REVIEW_2014, REVIEW_2023)
    dataset = read_dataset(detect_layout(tmp_path), tmp_path)
    first, second = dataset.interactions.frame.to_dict("records")
    assert first["review"] == 'Love it. It"s loud & clear. Good.'
    assert (second["consumer_id"], second["product_id"], second["rating"]) == ("A2", "P1", 2.0)
    assert second["review"] == "Broke after a day."
    assert (second["timestamp"] - first["timestamp"]).total_seconds() == 1


def test_names_of_reviewers_are_nowhere(tmp_path: Path):
    broken = json.dumps(REVIEW_2014)[:-1]
    others = [json.dumps({**REVIEW_2014, "reviewerID": f"B{number}"}) for number in range(9)]
    (tmp_path / "Reviews.json").write_text("\n".join([broken, json.dumps({**REVIEW_2014, "overall": 9}), *others]))
    dataset = read_dataset("amazon", tmp_path)
    assert dataset.quarantined["row"].tolist() == [0, 1]
    assert dataset.quarantined["reason"].tolist() == [
        "the line is not a JSON object",
        "the rating is outside the scale 1 to 5",
    ]
    everything = dataset.quarantined.to_json() + dataset.interactions.frame.to_json()
    assert "Jane" not in everything


def test_metadata_as_json_lines_gives_titles_texts_categories_and_price_bands(tmp_path: Path):
    reviews = write(tmp_path / "Reviews.json", REVIEW_2014)
    packed = gzip.compress(reviews.read_bytes())
    reviews.unlink()
    (tmp_path / "Reviews.json.gz").write_bytes(packed)
    write(
        tmp_path / "meta_Reviews.json",
        {
            "asin": "P1",
            "title": "Strings &amp; picks",
            "description": ["Twelve strings."],
            "feature": ["Nickel"],
            "category": ["Instruments", "Guitars", "Strings"],
            "brand": "Acme",
            "price": "$1,019.56",
        },
        {"asin": "P2", "title": "Other"},
    )
    catalog = read_dataset("", tmp_path).catalog
    assert catalog.products.iloc[0].tolist() == ["P1", "Strings & picks", "Twelve strings. Nickel"]
    assert list(catalog.attributes[["name", "value"]].itertuples(index=False, name=None)) == [
        ("category", "Guitars"),
        ("category", "Strings"),
        ("brand", "Acme"),
        ("price_band", "250 and more"),
    ]


def test_the_loose_metadata_of_2014_is_understood(tmp_path: Path):
    write(tmp_path / "Reviews.json", REVIEW_2014)
    (tmp_path / "meta_Reviews.json").write_text("{'asin': 'P1', 'title': \"It's\", 'categories': [['A', 'B']]}\n")
    catalog = read_dataset("amazon", tmp_path).catalog
    assert catalog.products["title"].tolist() == ["It's"]
    assert catalog.attributes["value"].tolist() == ["B"]


def test_metadata_as_csv_has_the_title_in_its_description(tmp_path: Path):
    write(tmp_path / "Reviews.json", REVIEW_2014)
    (tmp_path / "meta.csv").write_text("Product ID,Description,price,Category\nP1,1/4&quot; cable,9.99,Cables\n")
    catalog = read_dataset("amazon", tmp_path).catalog
    assert catalog.products.iloc[0].tolist() == ["P1", '1/4" cable', ""]
    assert catalog.attributes["value"].tolist() == ["Cables", "under 10"]


def test_records_without_ratings_are_refused_with_the_names_expected(tmp_path: Path):
    source = write(tmp_path / "Reviews.json", {**REVIEW_2014, "overall": None})
    with pytest.raises(InputError, match=r"No record of .*Reviews\.json has a rating") as refusal:
        read_dataset("amazon", source)
    assert "rating: overall or rating" in str(refusal.value)


def test_two_files_of_reviews_in_one_folder_must_be_told_apart(tmp_path: Path):
    write(tmp_path / "A.json", REVIEW_2014)
    one = write(tmp_path / "B.json", REVIEW_2014)
    with pytest.raises(InputError, match="holds 2 files of reviews"):
        read_dataset("amazon", tmp_path)
    assert len(read_dataset("amazon", one).interactions) == 1


def test_a_damaged_gzip_file_is_an_input_error(tmp_path: Path):
    (tmp_path / "A.json.gz").write_bytes(gzip.compress(b'{"asin": "P"}')[:-6])
    with pytest.raises(InputError, match="cannot be read"):
        read_dataset("amazon", tmp_path)
