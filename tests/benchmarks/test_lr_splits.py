"""Rows of the LR-Recsys benchmark: those of its splits; what is held out reaches nothing that a model sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.lr.examples import examples, together
from benchmarks.lr.wording import split_facts
from features.batch import TrainingSet
from features.errors import InputError, SettingError
from features.settings import BenchFolders
from tests.benchmarks.toy_bench import LOADER, Bench, content, write_data


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    here = str(tmp_path)
    with pytest.raises(SettingError, match="COUNTERPOINT_BENCH is ''"):
        BenchFolders.from_environment({"COUNTERPOINT_DATA": here})
    with pytest.raises(SettingError, match="COUNTERPOINT_DATA is '/nowhere'"):
        BenchFolders.from_environment({"COUNTERPOINT_BENCH": here, "COUNTERPOINT_DATA": "/nowhere"})


def test_parts_are_the_benchmarks_and_held_out_rows_keep_only_who_what_and_rating(bench: Bench) -> None:
    split = bench.split()
    assert set(split.test["row"] % 10) == {7}
    assert set(split.valid["row"] % 10) == {8}
    assert len(split.train.interactions) == 64
    assert list(split.test.columns) == ["row", "consumer_id", "product_id", "rating"]


def test_a_row_that_the_benchmark_reads_differently_is_refused(bench: Bench) -> None:
    path = bench.folders.bench / "load.py"
    path.write_text(LOADER.replace("return frame.assign(", "frame.loc[3, 'rating'] = 9\n    return frame.assign("))
    with pytest.raises(InputError, match="1 rows differ from the benchmark's, the first is row 3"):
        bench.split()


@pytest.mark.parametrize("name", ["random-0", "time"])
def test_no_held_out_rating_or_time_reaches_a_text_or_a_feature(bench: Bench, name: str) -> None:
    def canary(frame: pd.DataFrame) -> pd.DataFrame:
        held_out = frame.index % 10 >= 7
        held_out &= frame.index % 10 <= 8
        later = frame["time"] + (held_out * 500 if name == "time" else 7777 * (frame.index % 3))
        return frame.assign(rating=frame["rating"].where(~held_out, 6 - frame["rating"]), time=later)

    facts, before = split_facts(bench.split(name), bench.lake), content(bench.examples("template", name))
    write_data(bench.folders.data / "ml-100k", canary)
    other = Bench(bench.folders, bench.home.with_name("other"))
    assert split_facts(other.split(name), other.lake) == facts
    assert content(other.examples("template", name)) == before


def test_rows_that_texts_rest_on_see_none_of_them(bench: Bench) -> None:
    split, made = bench.split(), bench.examples("template")
    evidence, train = split.evidence, made.train.batch
    assert 0.4 < evidence.mean() < 0.8
    for facets in (train.consumers.facet_codes, train.products.facet_codes):
        assert (facets.index[evidence] == -1).all()
        assert (facets.index[~evidence] >= 0).mean() > 0.9
        assert (made.test.batch.products.facet_codes.index >= 0).all()


def test_facts_rest_on_the_evidence_alone(bench: Bench) -> None:
    split = bench.split()
    rated = split.evidence_snapshot.interactions.frame.groupby("consumer_id").size()
    facts = [
        fact for fact in split_facts(split, bench.lake) if fact.aspect.startswith("genre=") and "rated" in fact.text
    ]
    own = [fact for fact in facts if fact.fact_id.startswith("c")]
    assert own
    assert all(int(fact.text.split()[1]) <= rated[fact.entity_id] for fact in own)


def test_by_time_a_row_sees_the_texts_known_before_it(bench: Bench) -> None:
    made = bench.examples("template", "time")
    index, times = made.train.batch.consumers.facet_codes.index, made.train.batch.as_of
    assert (index[times == times.min()] == -1).all()
    assert (index >= 0).any()
    assert (made.test.batch.as_of > times.max()).all()


def test_a_share_of_the_rows_is_nested_and_its_texts_rest_on_it(bench: Bench) -> None:
    split = bench.split()
    half, most = split.reduced(0.5), split.reduced(0.8)
    rows = [set(part.train.interactions.frame["row"]) for part in (half, most, split)]
    assert rows[0] < rows[1] < rows[2]
    assert (half.key, split.key) == ("ml-100k/random-0@0.5", "ml-100k/random-0")
    assert set(half.evidence_snapshot.interactions.frame["row"]) <= rows[0]
    assert len(examples(half, "template", bench.settings).train) == len(rows[0])


def test_validation_rows_join_training_once_all_is_chosen(bench):
    split = bench.split()
    both = together(split, "none", bench.settings)
    apart = bench.examples("none")
    assert sorted(both.train.row) == sorted([*apart.train.row, *apart.valid.row])
    np.testing.assert_array_equal(both.test.row, apart.test.row)
    seen = both.test.batch.consumers.numeric[:, 0]
    assert (seen >= apart.test.batch.consumers.numeric[:, 0]).all()
    assert seen.sum() > apart.test.batch.consumers.numeric[:, 0].sum()


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_with_validation_rows_the_same_texts_are_seen(bench, share):
    split = bench.split().reduced(share)
    apart, both = examples(split, "template", bench.settings), together(split, "template", bench.settings)

    def seen(rows: TrainingSet) -> dict[int, list[bool]]:
        sides = rows.batch.consumers.facet_codes.index, rows.batch.products.facet_codes.index
        return dict(zip(rows.row.tolist(), (np.stack(sides, axis=1) >= 0).tolist(), strict=True))

    before = seen(apart.train) | seen(apart.valid) | seen(apart.test)
    assert seen(both.train) | seen(both.test) == before
    assert any(any(sides) for sides in seen(both.test).values())
