"""The data of the LR-Recsys benchmark, on a tiny dataset: what is held out reaches nothing, controls are controls."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import lr_recsys
from benchmarks.lr import controls
from benchmarks.lr.codes import RandomProjection, reconstruction
from benchmarks.lr.examples import Examples, examples, together
from benchmarks.lr.figures import draw
from benchmarks.lr.judge import judged, peers_of, scorer, table
from benchmarks.lr.runs import Run, run_variant
from benchmarks.lr.settings import AT_RANDOM, plan_of, texts_of
from benchmarks.lr.splits import BenchSplit, load_split
from benchmarks.lr.summaries import summaries
from benchmarks.lr.texts import TEXT_SETS, text_set
from benchmarks.lr.variants import QUICK, VARIANTS
from benchmarks.lr.wording import in_lines, read_facets, split_facts, whole_answers, word
from features.batch import CONTENT_WIDTH, TrainingSet
from features.errors import InputError, SettingError
from features.lake import Lake
from features.settings import BenchFolders, HostSettings
from features.types import Stance, TextRequest
from flows.prepare import facet_config
from models.backbones.collaborative import CollaborativeConfig
from models.base import RunContext
from models.explanations.facets import facet_requests, parse_facets
from models.llm.scripted import SCRIPTED, ScriptedEngine
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.metrics.rating import ece_by_chance
from tests.benchmarks.letters import LetterEncoder

N_CONSUMERS, N_PRODUCTS = 8, 10
SCORER = """
import argparse, json, pathlib, sys
import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import load

parser = argparse.ArgumentParser()
for name in ("dataset", "split", "task", "data", "splits"):
    parser.add_argument("--" + name)
parser.add_argument("--compare", nargs=2)
parser.add_argument("file", nargs="?")
args = parser.parse_args()
events = load.read_split(args.dataset, args.split, pathlib.Path(args.data), None)

def rmse(path):
    keys = ["consumer_id", "product_id"]
    both = events[events["part"] == "test"].merge(pd.read_csv(path, dtype=dict.fromkeys(keys, str)), on=keys)
    return float(((both["prediction"] - both["rating"].astype(float)) ** 2).mean() ** 0.5)

if args.compare:
    gap = rmse(args.compare[1]) - rmse(args.compare[0])
    print(json.dumps({"compare": {"rmse": {"b_minus_a": gap, "interval95": [gap, gap]}}}))
else:
    found = rmse(args.file)
    print(json.dumps({"rmse": found, "auc": 0.5, "ece": 0.0, "interval95": {"rmse": [found, found]}}))
"""
"""As the benchmark's, of which it has the arguments and the form of the answer."""
LOADER = """
import pandas as pd

def read_split(dataset, split, data, splits):
    columns = ["consumer_id", "product_id", "rating", "timestamp"]
    frame = pd.read_csv(data / dataset / "u.data", sep="\\t", names=columns, dtype={name: str for name in columns[:2]})
    frame.insert(0, "row", range(len(frame)))
    return frame.assign(part=frame["row"].map(lambda row: {7: "test", 8: "valid"}.get(row % 10, "train")))
"""
"""The tenth of the rows that ends in 7 is test, that ends in 8 valid."""


@dataclass(frozen=True)
class Bench:
    """Folders with a dataset in the layout of ML-100K, and a home."""

    folders: BenchFolders
    home: Path

    @property
    def settings(self) -> HostSettings:
        return HostSettings.from_environment({"COUNTERPOINT_HOME": str(self.home)})

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def split(self, name: str = "random-0") -> BenchSplit:
        return load_split("ml-100k", name, self.folders)

    def examples(self, texts: str, name: str = "random-0", **options: float) -> Examples:
        return examples(self.split(name), texts, self.settings, **options)


def write_data(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation(N_CONSUMERS * N_PRODUCTS)
    frame = pd.DataFrame({"consumer": pairs // N_PRODUCTS + 1, "product": pairs % N_PRODUCTS + 1})
    frame["rating"] = np.where(
        (frame["consumer"] + frame["product"]) % 2 == 0, rng.integers(4, 6, 80), rng.integers(1, 3, 80)
    )
    frame["time"] = 880_000_000 + np.arange(80) * 1000
    folder.mkdir(parents=True, exist_ok=True)
    change(frame).to_csv(folder / "u.data", sep="\t", header=False, index=False)
    genres = ["0"] * 19
    items = []
    for n in range(1, N_PRODUCTS + 1):
        flags = genres.copy()
        flags[1 if n % 2 else 8] = "1"
        items.append("|".join([str(n), f"Film {'ABCDEFGHIJ'[n - 1]} (1994)", "01-Jan-1994", "", "", *flags]))
    (folder / "u.item").write_text("\n".join(items), encoding="latin-1")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    import models.text

    monkeypatch.setattr(models.text, "TextEncoder", LetterEncoder)
    write_data(tmp_path / "data" / "ml-100k")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "load.py").write_text(LOADER)
    return Bench(BenchFolders(tmp_path / "bench", tmp_path / "data"), tmp_path / "home")


def repeat_fact(request: TextRequest) -> list[str]:
    """A model that says its opening and then the fact's own words."""
    return [f"{slot.opening} {fact.text}." for slot, fact in zip(request.slots, request.facts, strict=True)]


def content(split: Examples) -> list[object]:
    """All that models see of every part, to the byte, but outcomes."""
    seen: list[object] = []
    for part in split:
        who, what = part.batch.consumers, part.batch.products
        seen += [who.numeric.tobytes(), who.history_ratings.tobytes(), who.history_ids.tolist(), what.numeric.tobytes()]
        for stored in (who.facet_codes, what.facet_codes, what.content):
            seen += [stored.table.tobytes(), stored.index.tolist()]
    return seen


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


def test_lines_asked_alone_are_the_answers_of_whole_requests(bench: Bench) -> None:
    split, engine = bench.split(), ScriptedEngine(repeat_fact)
    facts, config = split_facts(split, bench.lake), facet_config(bench.split().section)
    requests = facet_requests(facts, SCRIPTED, config)
    whole = {answer.request_key: answer for answer in engine.complete(requests)}
    lines = {answer.request_key: answer for answer in engine.complete([x for r in requests for x in in_lines(r)])}
    parsed = [parse_facets(facts, answers, SCRIPTED, config) for answers in (whole, whole_answers(requests, lines))]
    assert parsed[0] == parsed[1]
    assert any(len(request.slots) == 2 for request in requests)


def test_a_line_without_an_answer_is_its_opening_alone(bench: Bench) -> None:
    split = bench.split()
    requests = facet_requests(split_facts(split, bench.lake), SCRIPTED, facet_config(split.section))
    request = next(request for request in requests if len(request.slots) == 2)
    answered = next(iter(ScriptedEngine(repeat_fact).complete(in_lines(request)[:1])))
    whole = whole_answers([request], {answered.request_key: answered})[request.key]
    assert whole.lines == (answered.lines[0], request.slots[1].opening)
    assert whole_answers([request], {}) == {}


def test_wording_is_bought_once_and_read_ever_after(bench: Bench) -> None:
    split, engine = bench.split(), ScriptedEngine(repeat_fact)
    first = word(split, engine, bench.settings)
    asked = len(engine.seen)
    assert word(split, engine, bench.settings) == first
    assert len(engine.seen) == asked
    assert first.facets == len(read_facets(split, bench.lake)) == first.lines


def test_texts_that_were_not_generated_are_asked_for(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"benchmarks\.lr\.generate ml-100k/random-0"):
        bench.examples("model")


@pytest.mark.parametrize("name", sorted(TEXT_SETS))
def test_every_set_has_the_same_shape(bench: Bench, name: str) -> None:
    if name in ("external", "combined"):
        told = "item_id,summary\n" + "".join(f"{n},It is film {n}.\n" for n in range(1, N_PRODUCTS + 1))
        (bench.folders.data / "ml-100k" / "ml-100k-summaries.csv").write_text(told)
    word(bench.split(), ScriptedEngine(repeat_fact), bench.settings)
    made = bench.examples(name)
    for part in made:
        for facets in (part.batch.consumers.facet_codes, part.batch.products.facet_codes):
            assert facets.table.shape[1:] == (2, 4, 64)
            assert len(facets.index) == len(part)
    assert (made.test.batch.products.facet_codes.index >= 0).any() == (name != "none")
    again = bench.examples(name)
    assert content(again) == content(made)


def test_what_tuning_the_autoencoder_reached_is_told(bench: Bench) -> None:
    bench.examples("template")
    told = reconstruction(bench.split(), "template", bench.settings)
    assert 0 < told["after"] < told["before"]
    assert told["reduction"] == pytest.approx(1 - told["after"] / told["before"])


def test_shuffled_texts_are_all_somebody_elses(bench: Bench) -> None:
    facets = text_set(bench.split(), "template", bench.lake).facets
    moved = controls.shuffled(facets)
    assert sorted(moved["text"]) == sorted(facets["text"])
    before = facets.groupby(["entity_kind", "entity_id"])["facet_id"].agg(set)
    after = moved.groupby(["entity_kind", "entity_id"])["facet_id"].agg(set)
    assert set(before.index) == set(after.index)
    assert not any(before[entity] & after[entity] for entity in before.index)


def test_swapped_stances_keep_texts_and_entities(bench: Bench) -> None:
    facets = text_set(bench.split(), "template", bench.lake).facets
    turned = controls.swapped(facets)
    assert (turned["stance"] != facets["stance"]).all()
    assert controls.swapped(turned)["stance"].tolist() == facets["stance"].tolist()


def test_random_texts_have_the_lengths_and_words_of_the_real_ones(bench: Bench) -> None:
    facets = text_set(bench.split(), "template", bench.lake).facets
    drawn = controls.random_words(facets)
    assert drawn["text"].str.split().str.len().tolist() == facets["text"].str.split().str.len().tolist()
    assert Counter(" ".join(drawn["text"]).split()) == Counter(" ".join(facets["text"]).split())
    assert (drawn["text"] != facets["text"]).mean() > 0.9


def test_hidden_titles_leave_no_title_and_keep_the_rest(bench: Bench) -> None:
    split = bench.split()
    facets = text_set(split, "template", bench.lake).facets
    hidden = controls.hidden_titles(facets, split)["text"]
    assert facets["text"].str.contains("Film [A-J]").any()
    assert not hidden.str.contains("Film [A-J]").any()
    assert hidden.str.contains("product 1").any()


def test_a_name_within_a_word_or_a_longer_name_stays() -> None:
    names = [("Heat", "product 1"), ("Heat Wave", "product 2")]
    assert controls.replaced("Heat, Heat Wave and Heater", names) == "product 1, product 2 and Heater"


def test_summaries_take_no_side(bench: Bench) -> None:
    written = summaries(bench.split())
    sides = [written[written["stance"] == stance.value].reset_index(drop=True) for stance in Stance]
    assert sides[0]["text"].tolist() == sides[1]["text"].tolist()
    consumer = sides[0][sides[0]["entity_kind"] == "consumer"]["text"].iloc[0]
    assert consumer.startswith("You rated ")
    assert " of 5 on average, mostly " in consumer
    product = sides[0][sides[0]["entity_kind"] == "product"]["text"].iloc[0]
    assert "is among" in product
    assert " rated it " in product


def test_a_projection_is_a_layer_norm_of_fixed_directions() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, CONTENT_WIDTH)).astype(np.float32)
    codes = RandomProjection().codes(vectors)
    assert np.allclose(codes.mean(1), 0, atol=1e-5)
    assert np.allclose(codes.std(1), 1, atol=1e-4)
    assert np.array_equal(codes, RandomProjection().codes(vectors))


TOY = LRRecsysConfig(
    embedding_size=8, hidden=(8,), members=2, epochs=2,
    collaborative=CollaborativeConfig(rank=2, chains=1, sweeps=20, burn_in=10, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip


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


def test_a_run_is_made_once_and_then_read(bench, monkeypatch):
    made = run_variant(bench.split(), VARIANTS["product_text"], TOY, bench.settings, RunContext())
    predicted = pd.read_csv(made.file, dtype={"consumer_id": str, "product_id": str})
    assert len(predicted) == len(bench.split().test)
    assert predicted["prediction"].between(1, 5).all()
    assert predicted["probability"].between(0, 1).all()
    assert len(made.rmse) == TOY.members
    assert all(sum(third) == pytest.approx(1, abs=1e-3) for third in zip(*made.attention.values(), strict=True))
    monkeypatch.setattr(LRRecsys, "fit_from", None)
    assert run_variant(bench.split(), VARIANTS["product_text"], TOY, bench.settings, RunContext()) == made


def test_variants_differ_in_nothing_but_what_they_name():
    config = LRRecsysConfig()
    for variant in VARIANTS.values():
        assert variant.texts in TEXT_SETS
        LRRecsysConfig.model_validate(variant.changed(config).model_dump())
    assert set(QUICK) <= set(VARIANTS)


@pytest.mark.slow
def test_gains_are_the_full_method_minus_the_other(bench):
    (bench.folders.bench / "score.py").write_text(SCORER)
    peers = bench.folders.bench / "peers" / "ml-100k" / "random-0" / "rating"
    peers.mkdir(parents=True)
    test = bench.split().test
    test[["consumer_id", "product_id"]].assign(prediction=3.0).to_csv(peers / "flat.csv.gz", index=False)
    files = {}
    for name, miss in (("full", 0.5), ("no_expl", 1.0)):
        files[name] = str(bench.home / f"{name}.csv.gz")
        bench.home.mkdir(exist_ok=True)
        told = test[["consumer_id", "product_id"]].assign(prediction=test["rating"] + miss, probability=0.5)
        told.to_csv(files[name], index=False)
    runs = [
        Run(name, "ml-100k/random-0", path, "", [0.1, 0.3], 2, 1.0, 10, 0.2, "abc", {}) for name, path in files.items()
    ]
    split = bench.split()
    figures = judged(runs, scorer(split, bench.folders), peers_of(split, bench.folders))
    assert figures["variants"]["full"]["mean"]["rmse"] == pytest.approx(0.5)
    assert figures["variants"]["full"]["sd_of_seeds"] == pytest.approx(0.141421)
    by_chance = ece_by_chance(np.full(len(test), 0.5))
    assert figures["variants"]["full"]["ece_by_chance"] == pytest.approx(by_chance, abs=1e-6)
    assert figures["against_controls"]["no_expl"]["rmse"]["b_minus_a"] == pytest.approx(-0.5)
    assert figures["against_peers"]["flat"]["rmse"]["b_minus_a"] < 0
    text = table("random-0", {**figures, "not_run": {"summary": "no texts"}})
    assert "full - no_expl" in text
    assert "not run: summary: no texts" in text


def test_the_picture_shows_every_comparison(tmp_path):
    gap = {"rmse": {"b_minus_a": -0.1, "interval95": [-0.2, 0.0]}}
    split = {"compared": "full", "against_controls": {"shuffled": gap}, "against_peers": {"flat": gap}}
    draw("toy/random-0", split, tmp_path / "gains.png")
    assert (tmp_path / "gains.png").stat().st_size > 5_000
    draw("toy/random-0", {"against_controls": {}, "against_peers": {}}, tmp_path / "nothing.png")
    assert not (tmp_path / "nothing.png").exists()


@pytest.mark.slow
def test_a_rerun_without_a_language_model_predicts_the_same_to_the_bit(bench, tmp_path):
    split = bench.split()
    word(split, ScriptedEngine(repeat_fact), bench.settings)
    first = run_variant(split, VARIANTS["full"], TOY, bench.settings, RunContext())
    predicted = Path(first.file).rename(tmp_path / "first.csv.gz")
    shutil.rmtree(bench.home / "benchmark" / split.key / "runs")
    shutil.rmtree(bench.home / "benchmark" / split.key / "grounds")
    again = run_variant(split, VARIANTS["full"], TOY, bench.settings, RunContext())
    assert again.rmse == first.rmse
    pd.testing.assert_frame_equal(pd.read_csv(again.file), pd.read_csv(predicted), check_exact=True)


def test_shares_of_the_training_rows_are_planned_on_one_split_alone():
    plan = plan_of("ml-100k")
    assert {"full", "full@0.5", "no_expl@0.5"} < set(plan.variants_of("random-0"))
    assert not [name for name in plan.variants_of("u1") if "@" in name]
    assert texts_of("ml-100k")[:4] == [f"ml-100k/{name}" for name in (*AT_RANDOM, "u1")]
    assert {"ml-100k/random-0@0.05", "ml-100k/random-0@0.125"} < set(texts_of("ml-100k"))
    assert not [name for name in texts_of("amazon-beauty") if "@" in name]
    assert plan_of("amazon-beauty").text_sets_of("random-0") == ["model", "none", "shuffled", "product_text"]
    assert plan.text_sets_of("random-0", 0.5) == ["model", "none"]
    assert texts_of("ml-100k")[-1] == "ml-100k/leave-last-out"
    assert plan.text_sets_of("leave-last-out") == ["model", "none", "shuffled", "product_text"]
    with pytest.raises(SettingError, match="no proof on 'toys'"):
        texts_of("toys")


@pytest.mark.slow
def test_the_command_runs_goes_on_and_writes_a_file_of_its_form(bench, monkeypatch):
    """`--quick` on a tiny dataset; what was run once is not run again."""
    (bench.folders.bench / "score.py").write_text(SCORER)
    for name, value in (("BENCH", bench.folders.bench), ("DATA", bench.folders.data), ("HOME", bench.home)):
        monkeypatch.setenv(f"COUNTERPOINT_{name}", str(value))
    results = bench.home / "repository" / "benchmarks" / "results"
    monkeypatch.setattr("benchmarks.record.RESULTS", results)
    monkeypatch.setattr(lr_recsys, "RESULTS", results)
    monkeypatch.setattr(lr_recsys, "config_of", lambda dataset: TOY)
    word(bench.split(), ScriptedEngine(repeat_fact), bench.settings)
    lr_recsys.main("ml-100k", split=["random-0"], variant=["full"], quick=True)
    lr_recsys.main("ml-100k", split=["random-0"], quick=True)
    file = results / "lr_recsys" / "quick" / "ml-100k" / "random-0.json"
    found = json.loads(file.read_text())
    assert set(found["variants"]) == set(QUICK)
    assert found["not_run"] == {}
    assert set(found["against_controls"]) == set(QUICK) - {"full"}
    assert sum(each["rows"] for each in found["reliability"]["full"]) == len(bench.split().test)
    assert {path.suffix for path in file.parent.iterdir()} == {".json", ".png"}
    monkeypatch.setattr(LRRecsys, "fit_from", None)
    lr_recsys.main("ml-100k", split=["random-0"], quick=True)
    assert json.loads(file.read_text()) == found
