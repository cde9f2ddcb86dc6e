"""Item 1 of ExplainRec: adapters of two stages load, chain and merge, and the first helps the second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from features.errors import SettingError
from models.llm.adapter import WEIGHTS, merged
from models.lora.instructions import InstructionConfig, tune_on_instructions
from models.lora.low_rank import LoraConfig
from models.lora.rows import Row
from models.lora.student import Student
from models.lora.training import Trainer
from models.metrics.ranking import auc
from models.reasoning.cases import Case, Described, PromptConfig
from models.reasoning.tutor import Lesson, TutorConfig, tutor

FIRST = LoraConfig(rank=4, alpha=8, dropout=0.0)
WORDS = ("warm", "cold")
TEXT = [5, 6, 7, 8]


def a_student(base: Path, config: LoraConfig, seed: int = 1, dtype: torch.dtype = torch.float32) -> Student:
    student = Student(base, config, seed=seed, dtype=dtype)
    student.network.eval()
    return student


def changed(student: Student, seed: int = 2) -> Student:
    """One whose own changes do something, as after training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in student.trained.values():
            parameter += torch.empty_like(parameter).normal_(std=0.1, generator=generator)
    return student


def logits(student: Student) -> torch.Tensor:
    with torch.inference_mode():
        return student.network(torch.tensor([TEXT])).logits[0]


def logits_of(base: Path, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of the plain network with these weights."""
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    plain.load_state_dict({name: weight.float() for name, weight in weights.items()}, strict=False)
    with torch.inference_mode():
        return plain(torch.tensor([TEXT])).logits[0]


@pytest.fixture(scope="module")
def first(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter that a first lesson left."""
    folder = tmp_path_factory.mktemp("first")
    changed(a_student(tiny_base, FIRST)).write(folder, "tiny")
    return folder


@pytest.fixture(scope="module")
def reached(tiny_base: Path, first: Path) -> torch.Tensor:
    """The logits that the first lesson ended with."""
    found = logits_of(tiny_base, merged(load_file(tiny_base / "model.safetensors"), first))
    assert (found - logits_of(tiny_base, {})).abs().max() > 0.1
    return found


@pytest.mark.parametrize(
    "config",
    [
        FIRST,
        FIRST.model_copy(update={"alpha": 24}),
        FIRST.model_copy(update={"start_as": "chain"}),
        LoraConfig(rank=2, modules=("o_proj",), layers=1, dropout=0.0, start_as="chain"),
    ],
    ids=["load", "load-other-alpha", "chain", "chain-other-layers"],
)
@pytest.mark.slow
def test_item_1_the_second_lesson_begins_where_the_first_ended(
    tiny_base: Path, first: Path, reached: torch.Tensor, config: LoraConfig
) -> None:
    student = a_student(tiny_base, config.model_copy(update={"start": first}))
    assert (logits(student) - reached).abs().max() < 1e-3


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("start_as", ["load", "chain"])
def test_item_1_both_lessons_merge_and_are_written_as_one_adapter(
    tiny_base: Path, first: Path, tmp_path: Path, start_as: str, layers: int
) -> None:
    own = {"layers": layers, "rank": 2, "modules": ("q_proj", "o_proj")} if start_as == "chain" else {}
    config = FIRST.model_copy(update={"start": first, "start_as": start_as, **own})
    student = changed(a_student(tiny_base, config), seed=5)
    expected = logits(student)
    assert (logits_of(tiny_base, student.weights()) - expected).abs().max() < 1e-3
    student.write(tmp_path, "tiny")
    theirs = merged(load_file(tiny_base / "model.safetensors"), tmp_path)
    assert (logits_of(tiny_base, theirs) - expected).abs().max() < 1e-3
    assert {tensor.shape[0] for name, tensor in load_file(tmp_path / WEIGHTS).items() if "lora_A" in name} == {
        6 if start_as == "chain" else 4
    }
    third = a_student(tiny_base, LoraConfig(rank=2, start=tmp_path, start_as="chain"))
    assert (logits(third) - expected).abs().max() < 1e-3


def test_item_1_what_is_chained_does_not_learn_and_what_is_loaded_does(tiny_base: Path, first: Path) -> None:
    wide = {"start": first, "batch_size": 4, "rate": 1e-2}
    chained = a_student(tiny_base, LoraConfig(rank=2, layers=1, start_as="chain", **wide))
    loaded = a_student(tiny_base, FIRST.model_copy(update=wide))
    before = {name: (layer.earlier_down.clone(), layer.earlier_up.clone()) for name, layer in chained.changed.items()}
    assert len(before) == 4  # two modules of two blocks, of which one learns
    assert len(chained.trained) == 4
    learned = {name: parameter.detach().clone() for name, parameter in loaded.trained.items()}
    for student in (chained, loaded):
        Trainer(student, rows(student), 1).run()
    assert all(torch.equal(layer.earlier_down, before[name][0]) for name, layer in chained.changed.items())
    assert all(torch.equal(layer.earlier_up, before[name][1]) for name, layer in chained.changed.items())
    assert all(not torch.equal(parameter, learned[name]) for name, parameter in loaded.trained.items())


def test_the_scorer_sees_both_lessons(tiny_base: Path, first: Path) -> None:
    """It runs on another forward pass, with the changes beside the weights."""
    from models.lora.labels import Labels, Prompt

    config = LoraConfig(rank=2, layers=1, start=first, start_as="chain", dropout=0.0)
    student = changed(a_student(tiny_base, config), seed=7)
    labels, prompt = Labels.find(student.encode), Prompt((5, 6), (7, 8))
    scored = student.scorer(labels).score([prompt]).soft[0]
    row = Row([*prompt.tokens, *labels.lead, labels.yes], 1, decision=len(prompt.tokens) + len(labels.lead))
    assert student.decide([row], labels).soft[0] == pytest.approx(scored, abs=1e-3)


def test_the_scorer_sees_an_earlier_lesson_in_every_layer_of_a_block(tiny_base: Path, tmp_path: Path) -> None:
    from models.lora.labels import Labels, Prompt

    every = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    changed(a_student(tiny_base, FIRST.model_copy(update={"modules": every})), seed=3).write(tmp_path, "tiny")
    student = a_student(tiny_base, LoraConfig(rank=2, start=tmp_path, start_as="chain", dropout=0.0))
    labels, prompt = Labels.find(student.encode), Prompt((5, 6), (7, 8))
    row = Row([*prompt.tokens, *labels.lead, labels.yes], 1, decision=len(prompt.tokens) + len(labels.lead))
    scored = student.scorer(labels).score([prompt]).soft[0]
    assert student.decide([row], labels).soft[0] == pytest.approx(scored, abs=1e-3)


def test_an_adapter_of_more_than_the_blocks_is_an_error(tiny_base: Path, first: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    n_words = a_student(tiny_base, FIRST).network.lm_head.weight.shape[0]
    head = {"lora_A": torch.ones(4, 48), "lora_B": torch.ones(n_words, 4)}
    parts = {f"base_model.model.lm_head.{name}.weight": part for name, part in head.items()}
    save_file(load_file(first / WEIGHTS) | parts, tmp_path / WEIGHTS)
    with pytest.raises(SettingError, match=r"changes lm_head\.\n.*of the network's blocks"):
        Student(tiny_base, FIRST.model_copy(update={"start": tmp_path, "start_as": "chain"}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (FIRST.model_copy(update={"rank": 8}), r"has rank 4 from 48 to 48 .*\n.*rank 8 from 48 to 48"),
        (
            FIRST.model_copy(update={"modules": ("q_proj",)}),
            r"changes q_proj, v_proj in 2 blocks .*\n.*changes q_proj in",
        ),
        (FIRST.model_copy(update={"layers": 1}), r"2 blocks \(0 to 1\)\.\n.*1 blocks \(1 to 1\)\.\n.*start_as"),
    ],
)
def test_an_adapter_that_does_not_fit_is_named_with_what_would(
    tiny_base: Path, first: Path, config: LoraConfig, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        Student(tiny_base, config.model_copy(update={"start": first}))


def test_an_adapter_of_another_network_is_an_error(tiny_base: Path, first: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    parts = load_file(first / WEIGHTS)
    other = {"start": tmp_path, "start_as": "chain"}
    save_file({name.replace("layers.1", "layers.7"): it for name, it in parts.items()}, tmp_path / WEIGHTS)
    with pytest.raises(SettingError, match=r"changes model\.layers\.7\.\S+\n.*no such linear layer"):
        Student(tiny_base, FIRST.model_copy(update=other))
    save_file(
        {name: it[:, :-1].contiguous() if "lora_A" in name else it for name, it in parts.items()}, tmp_path / WEIGHTS
    )
    with pytest.raises(SettingError, match=r"rank 4 from 47 to 48 .*\n.*has the shape \(48, 48\)"):
        Student(tiny_base, FIRST.model_copy(update=other))


def test_a_folder_without_an_adapter_is_an_error(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"has no adapter_config\.json .*\n.*as peft saves it.*\n.*`start`"):
        Student(tiny_base, FIRST.model_copy(update={"start": tmp_path}))
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 8}')
    (tmp_path / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(SettingError, match="cannot be read"):
        Student(tiny_base, FIRST.model_copy(update={"start": tmp_path}))


def test_a_half_done_training_is_taken_up_only_from_the_same_start(
    tiny_base: Path, first: Path, tmp_path: Path
) -> None:
    """It counts what the earlier adapter holds, not where it lies."""
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(first, moved)
    changed(a_student(tiny_base, FIRST), seed=9).write(other, "tiny")

    def stop_at_two(_: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    def trainer(start: Path | None) -> Trainer:
        student = a_student(tiny_base, FIRST.model_copy(update={"start": start, "batch_size": 4, "save_every": 1}))
        return Trainer(student, rows(student), 1, tmp_path / "part")

    first_steps: list[int] = []

    def first_step(_: str, done: int, total: int) -> None:
        first_steps.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(first).run(stop_at_two)
    for start in (moved, other, None):
        with pytest.raises(KeyboardInterrupt):
            trainer(start).run(first_step)
    assert first_steps == [2, 0, 0]


def test_a_stopped_training_above_a_chained_adapter_ends_in_the_same_one(
    tiny_base: Path, first: Path, tmp_path: Path
) -> None:
    """What lies below the blocks that learn is made once and kept; a resumed training makes it later."""
    config = LoraConfig(rank=2, layers=1, start=first, start_as="chain", dropout=0.3, epochs=3, batch_size=4, rate=1e-2)
    config = config.model_copy(update={"save_every": 1})
    whole, stopped = a_student(tiny_base, config), a_student(tiny_base, config)
    Trainer(whole, rows(whole), 1).run()

    def stop_at_five(_: str, done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(stopped, rows(stopped), 1, tmp_path).run(stop_at_five)
    resumed = a_student(tiny_base, config)
    Trainer(resumed, rows(resumed), 1, tmp_path).run()
    assert all(torch.equal(it, resumed.trained[name]) for name, it in whole.trained.items())


def rows(student: Student, n: int = 12) -> list[Row]:
    made = []
    for number in range(n):
        word, answer = ("warm", " Yes") if number % 2 else ("cold", " No")
        prompt = student.encode(f"The consumer likes {word} products {number}. Prediction:")
        made.append(Row([*prompt, *student.encode(answer), student.end], 2, decision=len(prompt)))
    return made


@pytest.mark.slow
def test_item_1_the_second_lesson_learns_more_from_few_pairs_after_a_related_first(
    tiny_base: Path, tmp_path: Path
) -> None:
    """The first lesson tells in its own form which words mean Yes; the second has four pairs in a student's form."""
    told = [
        {
            "instruction": "Say whether it is liked.",
            "input": f"Target: {word} product {n}",
            "output": f"Prediction: {it}",
        }
        for n in range(20)
        for word, it in (("warm", "Yes"), ("cold", "No"))
    ]
    file, modules = tmp_path / "told.jsonl", ("q_proj", "k_proj", "v_proj", "o_proj")
    file.write_text("\n".join(map(json.dumps, told)))
    how = {"rank": 4, "modules": modules, "dropout": 0.0, "rate": 1e-2, "batch_size": 8}
    tune_on_instructions(tiny_base, tmp_path / "first", file, InstructionConfig(epochs=20, max_tokens=256, **how))

    def asked(numbers: range) -> Lesson:
        pairs = [(Case("", (), Described(f"{word} product {n}")), word == "warm") for n in numbers for word in WORDS]
        return Lesson.of([case for case, _ in pairs], [liked for _, liked in pairs])

    test = asked(range(40, 60))
    prompt = PromptConfig(rationale_tokens=0)

    def after(start: Path | None, start_as: str = "load") -> float:
        lora = LoraConfig(epochs=2, start=start, start_as=start_as, **how)
        student = tutor(tiny_base, asked(range(2)), Lesson.of([], []), TutorConfig(prompt=prompt, lora=lora), seed=1)
        return auc(test.liked, student.decide(test.cases).soft)

    scratch, loaded, chained = after(None), after(tmp_path / "first"), after(tmp_path / "first", "chain")
    assert min(loaded, chained) > 0.9
    assert min(loaded, chained) > scratch + 0.1
