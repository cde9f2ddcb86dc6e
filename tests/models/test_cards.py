"""Cards say what the records say: every figure of the markdown is one of the JSON, which reads back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.settings import HostSettings
from models.cards.explanations import ExplanationCard, JudgedCard, SideCard, judged_file, read_judged
from models.cards.model import DataCard, ModelCard
from models.cards.parts import Card, table, table_by_name
from models.cards.run import CostCard, FitCard, RunCard, Spend, SplitCard
from models.evaluate import Interval

NOW = datetime(2024, 5, 1, tzinfo=UTC)
RMSE = Interval(0.91, 0.9, 0.925)
JUDGED = JudgedCard(
    release_id="r0", pairs=300, texts=580, silent=0.03, metrics={"grounded": Interval(0.98, 0.97, 0.99)}
)


def run_card() -> RunCard:
    fits = {
        "lr_recsys": FitCard(
            config={"dropout": 0.2, "hidden": [64]},
            epochs=3,
            best_epoch=2,
            n_parameters=12_345,
            seconds=7.5,
            train_loss=(0.3, 0.2, 0.1),
            valid_loss=(0.31, 0.26, 0.29),
            metrics={"rmse/1-5": RMSE},
        ),
        "bias": FitCard(
            config={"damping": 5.0},
            epochs=1,
            best_epoch=1,
            n_parameters=7,
            seconds=0.0,
            train_loss=(),
            valid_loss=(0.95,),
            metrics={"rmse/1-5": Interval(0.94, 0.93, 0.96)},
        ),
    }
    return RunCard(
        dataset="ml",
        method="lr_recsys",
        data_hash="d" * 64,
        features_hash="f" * 64,
        text_set_hash="t" * 64,
        split=SplitCard(
            kind="time", cut_valid=NOW, cut_test=NOW, n_train=80_000, n_valid=10_000, n_test=9_999, test_consumers=431
        ),
        scale=(1.0, 5.0, 4.0),
        seed=3,
        device="cpu",
        fits=fits,
        gain={"rmse/1-5": Interval(-0.01, -0.02, -0.001)},
        over_baseline={"rmse/1-5": Interval(-0.03, -0.04, -0.02)},
        cost=CostCard(
            texts=Spend(calls=2_000, prompt_tokens=90_000, completion_tokens=40_000, seconds=512.5),
            ledger=Spend(calls=2_345, prompt_tokens=99_000, completion_tokens=45_000, seconds=600.0),
            training_seconds=7.5,
            peak_memory_mb=1_234.0,
        ),
        trained_at=NOW,
        commit="abc123+",
        versions={"python": "3.11.7", "torch": "2.13.0"},
    )


def model_card(**changed: object) -> ModelCard:
    card = ModelCard(
        release_id="r2",
        created_at=NOW,
        model_of="",
        artifact_tag="counterpoint:r2",
        artifact_hash="a" * 64,
        feature_service="lr_recsys_v1",
        encoder="mini@1",
        data=DataCard(
            since=NOW, until=NOW, n_consumers=943, n_products=1_682, n_interactions=100_000, n_quarantined=12
        ),
        known_consumers=0.9,
        with_both_facets=0.75,
        features={"product_content": ("vector",)},
        fields=("consumer", "e_plus"),
        run=run_card(),
        replaced="r1",
        over_live={"rmse/1-5": Interval(-0.002, -0.004, 0.001)},
    )
    return card.model_copy(update=changed)


def explanation_card(**changed: object) -> ExplanationCard:
    card = ExplanationCard(
        release_id="r2",
        text_set_hash="t" * 64,
        language_model="SmolLM2@1",
        prompt_hash="p" * 64,
        prompts=("consumer_facets", "product_facets"),
        evidence_share=0.6,
        entailment="",
        n_facts=5_000,
        consumers=SideCard(entities=943, with_facets=900, facets={"for": 900, "against": 450}),
        products=SideCard(entities=1_682, with_facets=1_600, facets={"for": 1_600, "against": 0}),
        n_pairs=20,
        n_pair_texts=33,
        written_by_model=0.87,
        refused={"grounded": 14, "name": 3},
        retried=15,
        recovered=5,
        requests=2_600,
        unasked=7,
        evidence_until=NOW,
        judged=None,
    )
    return card.model_copy(update=changed)


@pytest.mark.parametrize(
    "card", [run_card(), model_card(), explanation_card(judged=JUDGED)], ids=lambda card: card.stem
)
def test_a_card_reads_back_from_its_json_and_has_both_files(card: Card) -> None:
    files = card.documents()
    assert set(files) == {f"{card.stem}.json", f"{card.stem}.md"}
    assert type(card).model_validate_json(files[f"{card.stem}.json"]) == card


def test_a_run_card_tells_inputs_way_results_and_cost() -> None:
    text = run_card().markdown()
    for told in (
        "# Run card: lr_recsys on ml",
        "Data `dddddddddddddddd`",
        "80,000 interactions to learn from, 10,000 to choose with",
        "| lr_recsys | 12,345 | 3 | 2 | 0.26000 | 7.5 |",
        "| dropout | 0.2 |  |",
        "| rmse/1-5 | 0.9100 (0.9000 to 0.9250) | 0.9400 (0.9300 to 0.9600) |",
        "| rmse/1-5 | -0.0100 (-0.0200 to -0.0010) | -0.0300 (-0.0400 to -0.0200) |",
        "| answers behind the texts | 2,000 | 90,000 | 40,000 | 512.5 |",
        "Training took 7.5 seconds; the process held 1,234 MB at most.",
        "Code `abc123+`; python 3.11.7, torch 2.13.0.",
    ):
        assert told in text


def test_a_model_card_tells_data_period_quality_and_limits() -> None:
    text = model_card().markdown()
    for told in (
        "100,000 interactions of 943 consumers with 1,682 products, from 2024-05-01 to 2024-05-01",
        "Fields of the network: consumer, e_plus.",
        "On 9,999 held-out interactions of 431 consumers",
        "| difference | minus r1 |",
        "| rmse/1-5 | -0.0020 (-0.0040 to 0.0010) |",
        "10.0% were of consumers without a rating before the cut",
        "25.0% of the test rows lacked facets",
    ):
        assert told in text


def test_a_first_release_is_compared_with_none_and_a_refreshed_one_names_its_model() -> None:
    assert "live before" not in model_card(replaced="", over_live={}).markdown()
    assert "Its model is that of the release r1." in model_card(model_of="r1").markdown()


def test_an_explanation_card_tells_who_wrote_what_was_refused_and_who_is_silent() -> None:
    text = explanation_card().markdown()
    for told in (
        "worded by `SmolLM2@1` from 5,000 facts",
        "`pppppppppppppppp`",
        "| consumers | 943 | 900 | 900 | 450 | 1.50 |",
        "| products | 1,682 | 1,600 | 1,600 | 0 | 1.00 |",
        "87.0% of the facets are the language model's own words",
        "grounded 14, name 3",
        "7 requests wait for a budget",
        "For 20 pairs texts of their own were asked; 33 passed.",
        "43 of 943 consumers and 82 of 1,682 products have no facet",
        "not judged yet",
    ):
        assert told in text


def test_what_was_judged_is_told_with_its_interval_and_when_it_was_live() -> None:
    text = explanation_card(judged=JUDGED).markdown()
    assert "580 texts of 300 held-out pairs were judged, as published with r0" in text
    assert "| grounded | 0.9800 (0.9700 to 0.9900) |" in text


def test_a_judgement_is_found_by_its_text_set(tmp_path: Path) -> None:
    settings = HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path)})
    path = judged_file(settings, "t" * 64)
    path.parent.mkdir(parents=True)
    path.write_text(JUDGED.model_dump_json())
    assert read_judged(settings, "t" * 64) == JUDGED
    assert read_judged(settings, "u" * 64) is None


def test_cells_do_not_end_their_table() -> None:
    assert table(["a"], [["x|y"]]).splitlines()[-1] == "| x/y |"
    assert table_by_name("name", {"a": {"x": 1}, "b": {"y": RMSE}}).splitlines()[2:] == [
        "| x | 1 |  |",
        "| y |  | 0.9100 (0.9000 to 0.9250) |",
    ]
