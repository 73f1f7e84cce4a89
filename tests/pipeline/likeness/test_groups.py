"""Groups from pairs: whoever is connected is together, in whatever order the pairs come."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.likeness.groups import groups_of

PAIRS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=25)


def test_chains_are_one_group_each_sorted_in_the_order_of_their_first() -> None:
    assert list(groups_of([("d", "c"), ("b", "a"), ("c", "a"), ("x", "y")])) == [["a", "b", "c", "d"], ["x", "y"]]
    assert list(groups_of([])) == []


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_pairs_and_of_their_ends_decides_nothing(pairs, order):
    turned = [(b, a) for a, b in pairs]
    order.shuffle(turned)
    groups = list(groups_of(pairs))
    assert list(groups_of(turned)) == groups
    together = {node: i for i, group in enumerate(groups) for node in group}
    assert len(together) == sum(map(len, groups)) and all(together[a] == together[b] for a, b in pairs)
