"""What is wrong with a value, in words for people; a value that may be a secret is not repeated."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from manifests.wrong_value import field_at, may_be_secret, wrong_value


class Inner(BaseModel):
    mode: Literal["fast", "exact"] = Field("fast", description="how to cut")
    key: SecretStr = SecretStr("")


class Outer(BaseModel):
    parts: list[Inner] = []
    n: int = Field(1, ge=1, description="a count")
    free: dict[str, str] = {}


def words_for(document: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document)
    return wrong_value(Outer, dict(caught.value.errors()[0]))


def test_a_bound_and_a_choice_are_said_with_the_keys_meaning() -> None:
    assert words_for({"n": 0}) == "must be 1 or more, not 0 (a count)"
    assert words_for({"parts": [{"mode": "slow"}]}) == "must be one of 'fast' or 'exact', not 'slow' (how to cut)"


def test_a_long_value_is_cut_and_a_secret_is_not_shown() -> None:
    assert "…" in words_for({"n": "x" * 500}) and len(words_for({"n": "x" * 500})) < 150
    assert "planted" not in words_for({"parts": [{"key": ["planted"]}]})
    assert "planted" not in words_for({"free": ["planted"]})


def test_fields_are_found_inside_lists_of_sections() -> None:
    found = field_at(Outer, ("parts", 0, "key"))
    assert found is not None and may_be_secret(found)
    assert field_at(Outer, ("nothing",)) is None
