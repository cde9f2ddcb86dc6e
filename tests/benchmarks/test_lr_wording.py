"""Texts of the LR-Recsys benchmark are bought line by line, once, and read ever after."""

from __future__ import annotations

import pytest

from benchmarks.lr.wording import in_lines, read_facets, split_facts, whole_answers, word
from features.errors import InputError
from flows.prepare import facet_config
from models.explanations.facets import facet_requests, parse_facets
from models.llm.scripted import SCRIPTED, ScriptedEngine
from tests.benchmarks.toy_bench import Bench, repeat_fact


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
