"""Hand-written lists of attributes are complete, and a config that names a domain holds its list."""

from __future__ import annotations

import pytest

from features.errors import SettingError
from models.attributes.listed import Attribute, Attributes, read_list
from models.base import MethodConfig

DOMAINS = ("movies", "music_gear", "beauty", "headphones")


class Config(MethodConfig):
    attributes: Attributes = ()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_list_has_8_to_16_attributes_with_words_for_both_ends(domain: str) -> None:
    attributes = read_list(domain)
    assert 8 <= len(attributes) <= 16
    assert len({it.name for it in attributes}) == len(attributes)
    assert all(it.description and it.high and (it.low or it.number) for it in attributes)
    assert all("=" in value for it in attributes for value in (*it.told_by, *it.told_against))


def test_a_domain_becomes_its_list() -> None:
    config = Config.model_validate({"attributes": "movies"})
    assert config.attributes == read_list("movies")
    assert Config.model_validate(config.model_dump(mode="json")) == config


def test_own_attributes_may_be_listed() -> None:
    config = Config.model_validate({"attributes": [{"name": "size", "description": "how big it is"}]})
    assert config.attributes == (Attribute(name="size", description="how big it is"),)


def test_an_unknown_domain_is_named() -> None:
    with pytest.raises(SettingError, match=r"(?s)no list of attributes 'boats'.*movies"):
        Config.model_validate({"attributes": "boats"})
