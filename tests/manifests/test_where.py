"""The one expression over a sample's columns: what it says of rows, and what it is refused for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from manifests.errors import UserError
from manifests.where import Expression, with_flags

ROWS = pa.table(
    {
        "key": ["a_00000", "b_00000", "c_00000"],
        "motion": [0.1, None, 0.3],
        "caption": ["Over there", "select a colour", "x"],
        "flags": ['["profanity"]', '["email", "phone", "greenery.plain"]', "[]"],
    }
)
LISTED = ["a_00000\n", "\n", '{"step": 3, "key": "c_00000"}\n']


def truths(text, rows=ROWS):
    expression = Expression("data.where", text, lambda name: LISTED)
    return expression.truths(with_flags(rows, expression.flags)).to_pylist()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("motion > .02 and not flags.profanity", [False, None, True]),
        ("motion is null or motion > .2", [False, True, True]),
        ("not flags.phone", [True, False, True]),
        ('not flags."greenery.plain"', [True, False, True]),
        ("caption ilike '%over%'", [True, False, False]),
        ("caption like 'select%' -- as it is said", [False, True, False]),
        ("key not in file('lost.jsonl')", [False, True, False]),
        ("key in FILE ( 'lost.jsonl' ) and motion > .2", [False, False, True]),
        ("key in ['a_00000', 'c_00000']", [True, False, True]),
    ],
)
def test_an_expression_says_of_each_row_whether_it_holds(text, holds):
    assert truths(text) == holds
    assert truths(text, ROWS.take([2, 0, 1])) == [holds[n] for n in (2, 0, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "motion >",
        "motion > 1, motion > 2",
        "motion > 1) from rows where (true",
        "motion > 1; drop table rows",
        "*",
        "motoin > .2",
        "motion",
        "caption",
        "random() < .5",
        "current_date > date '2026-01-01'",
        "count(*) > 1",
        "motion > avg(motion) over ()",
        "unnest([true, false])",
        "motion > (select max(motion) from rows)",
        "key in (from read_csv('/etc/passwd'))",
        "read_text('/etc/passwd') is null",
        "key in (from ROWS)",
    ],
)
def test_what_is_no_statement_about_one_sample_is_refused_with_its_text(text):
    with pytest.raises(UserError) as refused:
        truths(text)
    assert str(refused.value).startswith("data.where: ") and text.split("(")[0].split()[0] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_aggregate_is_refused_even_where_there_is_only_one_row():
    with pytest.raises(UserError, match="max"):
        truths("max(motion) > 0", ROWS.slice(0, 1))


def test_a_weight_is_a_number():
    numbers = Expression("data.sample_weight", "case when flags.email then 2 else motion end", list).numbers
    assert numbers(with_flags(ROWS, ["email"])).to_pylist() == [0.1, 2.0, 0.3]
    with pytest.raises(UserError, match=r"data.sample_weight: 'caption' is no number"):
        Expression("data.sample_weight", "caption", list).numbers(ROWS)
