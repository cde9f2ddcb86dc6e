"""MovieLens: the layouts of 100K (`u.data`), of 1M (`ratings.dat`) and of latest, 10M and later (`ratings.csv`).

F. M. Harper, J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from features.readers.dataset import Dataset, RawTables, finish
from features.readers.files import attribute_rows, find_file, read_delimited, reading
from features.types import RatingScale

LATIN1 = "latin-1"
HALF_STARS = RatingScale(0.5, 5.0, 4.0)
GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
_AGES = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
"""The brackets of MovieLens 1M, by their lowest age, which is how its file names them."""
TRAILERS = "LLVisualFeatures13K_Log.csv"
"""Seven visual features of trailers by movie id (Deldjoo et al., Journal on Data Semantics 5, 2016)."""
_EVENT = ["consumer_id", "product_id", "rating", "timestamp"]
_ARTICLES = "The|A|An|Le|La|Les|L'|Un|Une|Il|Lo|I|Gli|El|Los|Las|Una|Der|Die|Das|Ein|Eine|De|Het|Den|Det|En|Ett|O|Os|As"
_LAST_ARTICLE = re.compile(rf"^(?P<rest>.+), (?P<article>{_ARTICLES})$")
_YEAR = re.compile(r"\s*\((?P<year>\d{4})(?:[-–]\d{0,4})?\)\s*$")
_BRACKETS = re.compile(r"\((a\.k\.a\. )?([^()]*)\)")
_MARKUP = re.compile(r"[_'](?P<inside>[^_']+)[_'] \(qv\)")


def read_100k(folder: Path, scale: RatingScale | None = None) -> Dataset:
    """`u.data` and `u.item` (latin-1); consumers from `u.user`, plots from `items_info.json` where they are there."""
    ratings = read_delimited(find_file(folder, "u.data"), "\t", _EVENT, quoted=False)
    columns = ["product_id", "title", "released", "video", "url", *GENRES_100K]
    path = find_file(folder, "u.item")
    items = read_delimited(path, "|", columns, LATIN1, quoted=False)
    flags = items[GENRES_100K[1:]] == "1"
    items["genres"] = [[g for g, on in zip(flags.columns, row, strict=True) if on] for row in flags.to_numpy()]
    columns, path = ["consumer_id", "age", "gender", "occupation", "zip"], folder / "u.user"
    consumers = read_delimited(path, "|", columns, LATIN1, quoted=False) if path.is_file() else None
    return _finish(folder, "u.data", ratings, items, _plots(folder), scale or RatingScale(), consumers)


def read_1m(folder: Path, scale: RatingScale | None = None) -> Dataset:
    """`ratings.dat` and `movies.dat`, and `users.dat` where it is there; fields parted by `::`, latin-1."""
    ratings = _read_double_colon(find_file(folder, "ratings.dat"), _EVENT)
    items = _read_double_colon(find_file(folder, "movies.dat"), ["product_id", "title", "genres"])
    items["genres"] = items["genres"].str.split("|")
    columns, path = ["consumer_id", "gender", "age", "occupation", "zip"], folder / "users.dat"
    consumers = _read_double_colon(path, columns) if path.is_file() else None
    return _finish(folder, "ratings.dat", ratings, items, {}, scale or RatingScale(), consumers)


def read_csv(folder: Path, scale: RatingScale | None = None) -> Dataset:
    """`ratings.csv` (half stars) and `movies.csv` with headers, UTF-8; looks from `TRAILERS` where it is there."""
    ratings = _named(find_file(folder, "ratings.csv"), ["userId", "movieId", "rating", "timestamp"])
    items = _named(find_file(folder, "movies.csv"), ["movieId", "title", "genres"])
    ratings.columns = pd.Index(_EVENT)
    items.columns = pd.Index(["product_id", "title", "genres"])
    items["genres"] = items["genres"].where(items["genres"] != "(no genres listed)").str.split("|")
    return _finish(folder, "ratings.csv", ratings, items, {}, scale or HALF_STARS, visuals=_trailers(folder))


def natural_title(title: str) -> tuple[str, str]:
    """`Postman, The (1994)` as (`The Postman`, `1994`); the year is empty where there is none."""
    year = _YEAR.search(title)
    bare = title[: year.start()] if year else title.strip()
    outer, bracket, rest = bare.partition(" (")
    # Alternative titles in brackets have articles of their own: "City, The (Cité, La)".
    inner = _BRACKETS.sub(lambda found: f"({found[1] or ''}{_article_first(found[2])})", bracket + rest)
    return _article_first(outer) + inner, year["year"] if year else ""


def _article_first(title: str) -> str:
    """`Postman, The` as `The Postman`."""
    found = _LAST_ARTICLE.match(title)
    if not found:
        return title
    gap = "" if found["article"].endswith("'") else " "
    return f"{found['article']}{gap}{found['rest']}"


def _read_double_colon(path: Path, columns: list[str]) -> pd.DataFrame:
    """Fields parted by `::`; a doubled separator needs pandas' slow parser, so it becomes one character."""
    with reading(path, LATIN1), open(path, encoding=LATIN1) as lines:
        rows = [line.rstrip("\r\n").split("::") for line in lines if line.strip()]
    bad = next((number for number, row in enumerate(rows) if len(row) != len(columns)), None)
    if bad is not None:
        raise InputError(
            f"Row {bad} of {path} has {len(rows[bad])} fields: {'::'.join(rows[bad])[:80]!r}.",
            f"It should have {len(columns)}: {'::'.join(columns)}.",
            "Restore the file from the original archive.",
        )
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _named(path: Path, columns: list[str]) -> pd.DataFrame:
    """The named columns of a CSV file. Raises InputError where one is missing."""
    frame = read_delimited(path, ",")
    missing = [name for name in columns if name not in frame]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}.",
            f"MovieLens files have {', '.join(columns)}.",
            "If these are your own tables, use the layout `tables`; ratings are required.",
        )
    return frame[columns].copy()


def _plots(folder: Path) -> dict[str, str]:
    """Plots by movie id from `items_info.json`, without IMDb's mark-up; empty where there is no such file."""
    path = folder / "items_info.json"
    if not path.is_file():
        return {}
    with reading(path):
        records = json.loads(path.read_text(encoding="utf-8"))
    plots = ((str(record["movielens_id"]), record.get("plot") or "") for record in records)
    return {movie: _MARKUP.sub(r"\g<inside>", plot) for movie, plot in plots if plot not in ("", "N/A")}


def _trailers(folder: Path) -> pd.DataFrame | None:
    """`VISUAL_COLUMNS` of the trailers' features; None where there is no such file. Raises InputError on bad values."""
    path = folder / TRAILERS
    if not path.is_file():
        return None
    frame = read_delimited(path, ",")
    ids, values = frame.iloc[:, 0], frame.iloc[:, 1:].apply(pd.to_numeric, errors="coerce")
    if bad := int(values.isna().any(axis=1).sum()):
        raise InputError(f"{bad} rows of {path} hold no number where one is expected.", remedy="Restore the file.")
    return pd.DataFrame({"product_id": ids, "vector": values.to_numpy(np.float64).tolist()})


def _finish(
    folder: Path,
    file: str,
    ratings: pd.DataFrame,
    items: pd.DataFrame,
    plots: dict[str, str],
    scale: RatingScale,
    consumers: pd.DataFrame | None = None,
    visuals: pd.DataFrame | None = None,
) -> Dataset:
    """Catalog with genre, year and decade, what is told of consumers and how films look; then the shared checks."""
    named = [natural_title(title) for title in items["title"].fillna("")]
    years = pd.Series([year for _, year in named], dtype=object)
    products = pd.DataFrame(
        {
            "product_id": items["product_id"],
            "title": [title for title, _ in named],
            "description": items["product_id"].map(plots).fillna(""),
        }
    )
    decades = years.map(lambda year: f"{year[:3]}0s" if year else "")
    attributes = pd.concat(
        attribute_rows(items["product_id"], name, values)
        for name, values in (("genre", items["genres"]), ("year", years), ("decade", decades))
    )
    events = ratings.assign(row=range(len(ratings)), review=None)
    told = {} if consumers is None else {"consumers": _consumers(consumers)}
    told |= {} if visuals is None else {"visuals": visuals}
    return finish(RawTables(folder.name, file, events, products, attributes, scale, **told))


def _consumers(frame: pd.DataFrame) -> pd.DataFrame:
    """Age bracket, gender and occupation in long form; zip codes, which say where somebody lives, are not read."""
    years = pd.to_numeric(frame["age"], errors="coerce")
    brackets = pd.cut(years, [*_AGES, np.inf], right=False, labels=list(_AGES.values())).astype(object)
    named = (("age", brackets), ("gender", frame["gender"]), ("occupation", frame["occupation"]))
    return pd.concat(attribute_rows(frame["consumer_id"], name, values, "consumer_id") for name, values in named)
