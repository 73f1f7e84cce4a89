"""What is wrong with a value, in words for people; a value that may be a secret is not repeated."""

import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from manifests.wrong_value import field_at, first_fault, may_be_secret, wrong_value


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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"n": 0}', "n: must be 1 or more, not 0 (a count)"),
        ('{"parts": 3}', "parts: must be a list"),
        ('{"parts": [{"mode": "slow"}]}', "parts.0.mode: must be one of 'fast' or 'exact'"),
        ("{", "is not valid JSON"),
        ("[]", "must be a section"),
    ],
)
def test_the_first_fault_of_a_document_is_said_in_words_of_ours(line: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate_json(line)

    assert first_fault(Outer, caught.value).startswith(said)


def test_nobody_is_shown_the_validators_own_words() -> None:
    """Whoever catches a ValidationError says it by `first_fault` or `wrong_value`."""
    repo = Path(__file__).resolve().parents[2]
    files = [file for room in ("manifests", "pipeline", "train") for file in (repo / room).rglob("*.py")]

    assert [file for file in files if re.search(r"""\[["']msg["']\]""", file.read_text())] == []
