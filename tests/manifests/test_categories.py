"""The 15 categories."""

import pytest

from manifests.categories import (
    UNCATEGORISED,
    UNCATEGORISED_ID,
    category_by_id,
    category_by_name,
    category_name,
    load_categories,
)


def test_there_are_15_with_youtubes_ids_in_their_order():
    assert [c.id for c in load_categories()] == [1, 2, 10, 15, 17, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29]


def test_each_has_several_seed_queries_and_no_query_is_shared():
    queries = [query for c in load_categories() for query in c.queries]
    assert all(len(c.queries) >= 5 for c in load_categories()) and len(set(queries)) == len(queries)


@pytest.mark.parametrize("column", ["hd_vila_videos", "hd_vila_clips"])
def test_shares_of_hd_vila_add_up_to_a_hundred(column: str):
    assert sum(getattr(c, column) for c in load_categories()) == pytest.approx(100, abs=1.0)


def test_a_name_is_found_however_a_site_spells_it():
    assert category_by_name(" howto &amp; style ") == category_by_id(26)
    assert category_by_name("Knitting") is None


def test_what_is_none_of_them_is_uncategorised():
    assert category_by_id(UNCATEGORISED_ID) is None and category_name(44) == UNCATEGORISED
