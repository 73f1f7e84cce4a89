"""Views: every name has its module, and an unknown one is said with those that there are."""

from importlib import import_module

import pytest

from train.data.registry import VIEWS, make_view


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_has_a_module_that_makes_it(name: str) -> None:
    assert callable(import_module(VIEWS[name]).make_view)


def test_an_unknown_view_is_named_with_the_others() -> None:
    with pytest.raises(ValueError, match="'hybird' is not one of hybrid"):
        make_view("hybird", None)
