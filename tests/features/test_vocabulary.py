"""A vocabulary numbers ids from 1, keeps 0 for unknown, and notices damage."""

import json

import numpy as np
import pytest

from features.errors import InputError
from features.vocabulary import UNKNOWN, Vocabulary


def test_numbers_are_contiguous_from_one_whatever_the_order_of_the_ids():
    vocabulary = Vocabulary.build(["b", "a", "c", "a"])
    assert vocabulary.encode(np.array(["a", "b", "c"], object)).tolist() == [1, 2, 3]
    assert len(vocabulary) == 4
    assert vocabulary.hash == Vocabulary.build(["c", "b", "a"]).hash


def test_unknown_and_empty_ids_are_zero():
    numbers = Vocabulary.build(["a"]).encode(np.array(["", "zzz", "a"], object))
    assert numbers.tolist() == [UNKNOWN, UNKNOWN, 1]
    assert numbers.dtype == np.int32


def test_encoding_keeps_the_shape_and_decoding_reverses_it():
    vocabulary = Vocabulary.build(map(str, range(30)))
    ids = np.array([["3", "17"], ["29", "0"]], object)
    assert vocabulary.encode(ids).shape == (2, 2)
    assert (vocabulary.decode(vocabulary.encode(ids)) == ids).all()
    assert vocabulary.decode(np.array([UNKNOWN])).tolist() == [""]
    assert vocabulary.encode(np.array([], object)).shape == (0,)


def test_json_brings_back_the_same_vocabulary():
    vocabulary = Vocabulary.build(["ä", "b"])
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_an_empty_vocabulary_knows_nothing():
    empty = Vocabulary.build([])
    assert len(Vocabulary.from_json(empty.to_json())) == 1
    assert empty.encode(np.array(["a"], object)).tolist() == [UNKNOWN]


def test_changed_ids_are_noticed():
    content = json.loads(Vocabulary.build(["a", "b"]).to_json())
    content["ids"][0] = "x"
    with pytest.raises(InputError, match="changed after it was written"):
        Vocabulary.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ids": 3, "hash": ""}'])
def test_what_is_no_vocabulary_is_refused(text: str):
    with pytest.raises(InputError, match="no vocabulary"):
        Vocabulary.from_json(text)


def test_repeated_ids_and_numbers_out_of_range_are_refused():
    with pytest.raises(InputError, match="2 ids of which 1 are distinct"):
        Vocabulary(("a", "a"))
    with pytest.raises(InputError, match="numbers 0 to 1"):
        Vocabulary.build(["a"]).decode(np.array([2]))
