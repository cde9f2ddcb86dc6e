"""MovieLens files of three generations become the same tables, with titles as people say them."""

import json
from pathlib import Path

import pytest

from features.errors import InputError
from features.readers.movielens import TRAILERS, natural_title
from features.readers.registry import detect_layout, read_dataset


def flags(*genres: int) -> str:
    return "|".join("1" if place in genres else "0" for place in range(19))


@pytest.fixture
def folder_100k(tmp_path: Path) -> Path:
    (tmp_path / "u.data").write_text("1\t10\t5\t881250949\n2\t10\t3\t881250940\n1\t11\t1\t881250941\n")
    items = [
        f"10|Postman, The (1997)|01-Jan-1997||http://x|{flags(8, 14)}",
        f'11|Léon "the" Pro (1994)|01-Jan-1994|||{flags(1)}',
        f"12|unknown||||{flags(0)}",
    ]
    (tmp_path / "u.item").write_text("\n".join(items) + "\n", encoding="latin-1")
    return tmp_path


def test_100k_is_read_with_genres_years_and_latin_1_titles(folder_100k: Path):
    dataset = read_dataset(detect_layout(folder_100k), folder_100k)
    assert dataset.interactions.frame["row"].tolist() == [1, 2, 0]
    assert dataset.catalog.products["title"].tolist() == ["The Postman", 'Léon "the" Pro', "unknown"]
    attributes = set(dataset.catalog.attributes.itertuples(index=False, name=None))
    assert attributes == {
        *(("10", "genre", "Drama"), ("10", "genre", "Romance"), ("11", "genre", "Action")),
        *(("10", "year", "1997"), ("10", "decade", "1990s"), ("11", "year", "1994"), ("11", "decade", "1990s")),
    }


def test_100k_tells_age_bracket_gender_and_occupation_but_not_where_somebody_lives(folder_100k: Path):
    assert read_dataset("movielens-100k", folder_100k).catalog.consumers.empty
    (folder_100k / "u.user").write_text("1|24|M|technician|85711\n2|7|F|student|94043\n")
    consumers = read_dataset("movielens-100k", folder_100k).catalog.consumers
    assert set(consumers.itertuples(index=False, name=None)) == {
        *(("1", "age", "18-24"), ("1", "gender", "M"), ("1", "occupation", "technician")),
        *(("2", "age", "under 18"), ("2", "gender", "F"), ("2", "occupation", "student")),
    }


def test_100k_takes_plots_that_lie_beside_it_without_their_markup(folder_100k: Path):
    plots = [{"movielens_id": "10", "plot": "As in _Mad Max_ (qv)."}, {"movielens_id": "11", "plot": ""}]
    (folder_100k / "items_info.json").write_text(json.dumps(plots), encoding="utf-8")
    products = read_dataset("movielens-100k", folder_100k).catalog.products
    assert products["description"].tolist() == ["As in Mad Max.", "", ""]


def test_1m_is_read_with_its_double_colons(tmp_path: Path):
    (tmp_path / "ratings.dat").write_text("1::7::5::978300760\n")
    (tmp_path / "movies.dat").write_text("7::Cité, La: Part 2 (1995)::Drama|War\n", encoding="latin-1")
    dataset = read_dataset(detect_layout(tmp_path), tmp_path)
    assert len(dataset.interactions) == 1
    assert dataset.catalog.attributes["value"].tolist() == ["Drama", "War", "1995", "1990s"]
    (tmp_path / "users.dat").write_text("1::F::56::10::48067\n")
    assert read_dataset("movielens-1m", tmp_path).catalog.consumers["value"].tolist() == ["56+", "F", "10"]


def test_a_1m_row_with_too_few_fields_is_named(tmp_path: Path):
    (tmp_path / "ratings.dat").write_text("1::7::5::978300760\n1::8\n")
    (tmp_path / "movies.dat").write_text("7::A (1995)::Drama\n")
    with pytest.raises(InputError, match=r"Row 1 of .*ratings\.dat has 2 fields"):
        read_dataset("movielens-1m", tmp_path)


def test_latest_has_half_stars_and_films_without_genres(tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,0.5,964982703\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n2,"Matrix, The (1999)",(no genres listed)\n')
    dataset = read_dataset(detect_layout(tmp_path), tmp_path)
    assert dataset.interactions.frame["rating"].tolist() == [0.5]
    assert (dataset.scale.low, dataset.scale.high) == (0.5, 5.0)
    assert dataset.catalog.products["title"].tolist() == ["The Matrix"]
    assert dataset.catalog.attributes["name"].tolist() == ["year", "decade"]


def test_looks_of_listed_films_are_read_where_they_lie_beside_the_ratings(tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,0.5,964982703\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n2,A (1999),B\n3,C (1998),B\n")
    assert read_dataset("movielens-csv", tmp_path).catalog.visuals.empty
    (tmp_path / TRAILERS).write_text("ML_Id,f1,f2\n2,0.25,0.5\n77,1,1\n")
    assert read_dataset("movielens-csv", tmp_path).catalog.visuals.to_dict("records") == [
        {"product_id": "2", "vector": [0.25, 0.5]}
    ]
    (tmp_path / TRAILERS).write_text("ML_Id,f1,f2\n2,0.25,?\n")
    with pytest.raises(InputError, match=r"1 rows of .* hold no number"):
        read_dataset("movielens-csv", tmp_path)


def test_a_missing_rating_column_says_what_was_found_and_expected(tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,timestamp\n1,2,964982703\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n2,A,B\n")
    with pytest.raises(InputError, match=r"no column rating; it has userId, movieId, timestamp") as refusal:
        read_dataset("movielens-csv", tmp_path)
    assert "ratings are required" in str(refusal.value)


@pytest.mark.parametrize(
    ("written", "said", "year"),
    [
        ("Postman, The (1994)", "The Postman", "1994"),
        ("Toy Story (1995)", "Toy Story", "1995"),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura (The Adventure)", "1960"),
        ("Zombies (a.k.a. Gates of Hell, The) (1980)", "Zombies (a.k.a. The Gates of Hell)", "1980"),
        ("Cry, the Beloved Country (1995)", "Cry, the Beloved Country", "1995"),
        ("Karate Kid, Part II, The (1986)", "The Karate Kid, Part II", "1986"),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", "2006"),
        ("unknown", "unknown", ""),
        ("", "", ""),
    ],
)
def test_titles_are_put_as_people_say_them(written: str, said: str, year: str):
    assert natural_title(written) == (said, year)
