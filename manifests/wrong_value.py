"""What is wrong with a value in a configuration, in plain words: the key's meaning and what it accepts.

The validation library has its own words ("Field required", "Input should be …"); none of them is shown. A value is
repeated only if its key cannot hold a secret.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

MOST_CHARACTERS = 60

_KINDS = {
    "int": "an integer (a whole number)",
    "float": "a number",
    "bool": "true or false",
    "string": "a string (quote it where YAML would read something else)",
    "list": "a list: [a, b]",
    "tuple": "a list: [a, b]",
    "set": "a list: [a, b]",
    "dict": "a section: {key: value}",
    "model": "a section: {key: value}",
    "path": "a path",
    "date": "a date: YYYY-MM-DD",
    "url": "an address",
    "none": "empty",
    "mapping": "a section: {key: value}",
    "finite": "a finite number",
    "decimal": "a number",
    "bytes": "a text",
    "timedelta": "a length of time",
}
"""By the first word of the validator's error type: what the key takes."""

_BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
    "too_short": ("min_length", "at least {} long"),
    "too_long": ("max_length", "at most {} long"),
    "string_too_short": ("min_length", "at least {} characters long"),
    "string_too_long": ("max_length", "at most {} characters long"),
    "string_pattern_mismatch": ("pattern", "a string of the form {}"),
    "literal_error": ("expected", "one of {}"),
    "enum": ("expected", "one of {}"),
}
"""By the validator's error type: the fact that holds the bound, and the words for it."""


def wrong_value(model: type[BaseModel], problem: dict[str, Any]) -> str:
    """One line: what the key accepts, what was given, what the key means."""
    where: Sequence[str | int] = problem["loc"]
    field = field_at(model, where)
    meaning = f" ({field.description})" if field is not None and field.description else ""
    if problem["type"] == "missing":
        return f"is required{meaning}"
    if problem["type"] in ("value_error", "assertion_error"):
        return f"{problem['ctx']['error']}{meaning}" if problem.get("ctx") else f"cannot be used{meaning}"
    given = "" if field is None or may_be_secret(field) else f", not {_shown(problem['input'])}"
    return f"must be {_wanted(problem)}{given}{meaning}"


def first_fault(model: type[BaseModel], error: ValidationError) -> str:
    """The first error in a document that `model` rejected: "key: what is wrong", in one line."""
    problem: dict[str, Any] = dict(error.errors()[0])
    if problem["type"] == "json_invalid":
        return "is not valid JSON"
    key = ".".join(str(part) for part in problem["loc"])
    said = "no such key" if problem["type"] == "extra_forbidden" else wrong_value(model, problem)
    return f"{key}: {said}" if key else said


def _wanted(problem: dict[str, Any]) -> str:
    kind, facts = str(problem["type"]), problem.get("ctx") or {}
    if kind in _BOUNDS and _BOUNDS[kind][0] in facts:
        fact, words = _BOUNDS[kind]
        bound = facts[fact]
        return words.format(f"{bound:g}" if isinstance(bound, float) else bound)
    return _KINDS.get(kind.partition("_")[0], "another value")


def _shown(value: Any) -> str:
    if isinstance(value, datetime.date):
        text = value.isoformat()
    else:
        text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)  # as YAML writes them
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def field_at(model: type[BaseModel], where: Sequence[str | int]) -> FieldInfo | None:
    """The field at a location in a configuration, also inside lists of sections; None if there is none."""
    field: FieldInfo | None = None
    inside: list[type[BaseModel]] = [model]
    for part in where:
        if isinstance(part, int):
            continue
        fields = [section.model_fields[part] for section in inside if part in section.model_fields]
        if not fields:
            return field  # a tag added by the validator, or a key inside a free-form value
        field = fields[0]
        inside = sections_in(field)
    return field


def sections_in(field: FieldInfo) -> list[type[BaseModel]]:
    """The sections that a key can hold, by itself or in a list."""
    return [kind for kind in _types_in(field.annotation) if issubclass(kind, BaseModel)]


def may_be_secret(field: FieldInfo) -> bool:
    """Whether a key's value must not be repeated: a secret, or a free-form mapping that may hold a secret."""
    closed = (SecretStr, SecretBytes, Secret, dict, BaseModel)
    return any(issubclass(kind, closed) for kind in _types_in(field.annotation))


def _types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    if isinstance(origin := get_origin(annotation), type):
        yield origin
    for inner in get_args(annotation):
        yield from _types_in(inner)
