"""The line of words: what it asks for, said again as it was read, and as SQL that no text breaks out of."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import UserError
from pipeline.browse.filters import FIELDS, Asked, Term, equal_statement, inlined, read_line, where

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs"]), min_size=1)
CONNECTION = duckdb.connect()
OTHERS = [name for name, field in FIELDS.items() if field.kind != "number"]
TERMS = st.one_of(
    st.builds(Term, st.just(""), st.tuples(TEXTS), st.booleans()),
    st.builds(Term, st.sampled_from(OTHERS), st.lists(TEXTS, min_size=1, max_size=3).map(tuple), st.booleans()),
)


@given(st.lists(TERMS, max_size=5), st.sampled_from(["", "words"]), st.booleans(), st.sampled_from(["", "flag"]))
def test_what_is_asked_is_said_again_and_read_the_same(terms: list[Term], sort: str, down: bool, group: str) -> None:
    asked = Asked(tuple(terms), sort=sort, is_descending=down and bool(sort), group=group)
    assert read_line(str(asked)) == asked


@given(st.text())
def test_any_line_is_read_or_refused_in_words(line: str) -> None:
    try:
        asked = read_line(line)
    except UserError as error:
        assert str(error)
        return
    assert read_line(str(asked)) == asked
    duckdb.extract_statements(equal_statement(asked))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=4))
def test_a_copied_statement_has_the_texts_and_nothing_of_them_is_sql(texts: list[str]) -> None:
    text = inlined(f"SELECT {', '.join('?' for _ in texts)}", texts)
    assert CONNECTION.execute(text).fetchall() == [tuple(texts)]


@pytest.mark.parametrize(
    ("line", "sql", "values"),
    [
        ("category:Sports", "lower(category) = lower(?)", ["Sports"]),
        ("words:>5 words:<=9", "words > ? AND words <= ?", [5.0, 9.0]),
        ("seconds:3..8.5", "(seconds >= ? AND seconds <= ?)", [3.0, 8.5]),
        ("-flag:song", "NOT list_contains(flags, ?)", ["song"]),
        (
            '-category:Music,"News & Politics"',
            "NOT (lower(category) = lower(?) OR lower(category) = lower(?))",
            ["Music", "News & Politics"],
        ),
        ('"no ""such"" thing" Cat', "contains(lower(text), lower(?)) AND contains(lower(text), lower(?))",
         ['no "such" thing', "Cat"]),
        ("of:videos trophy", "contains(lower(title), lower(?))", ["trophy"]),
        ("", "true", []),
    ],
)  # fmt: skip
def test_words_become_conditions(line: str, sql: str, values: list[object]) -> None:
    assert where(read_line(line)) == (sql, values)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chanel:x", "did you mean channel:"),
        ("https://example.org", "a text stands in quotes"),
        ("words:many", "takes a number"),
        ("words:1e3", "takes a number"),
        ("of:shards", "of:clips and of:videos"),
        ("sort:nothing", "nothing is called nothing"),
        ("of:videos words:5", "is known of clips"),
        ("x" * 3000, "more than 2000 characters"),
        ("a " * 60, "more than 50 words"),
    ],
)
def test_a_wrong_word_is_named_with_what_there_is(line: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_line(line)
