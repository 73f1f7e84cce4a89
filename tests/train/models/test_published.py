"""Published files are told by their keys: which model, and how many entries each has."""

import pytest

from train.models.published import official_keys


@pytest.mark.parametrize(
    ("stage", "model", "n"), [(1, "hd_vila", 926), (2, "hd_vila", 1135), (1, "soho", 196), (1, "soho_vqa", 185)]
)
def test_each_model_has_the_published_number_of_entries(stage, model, n) -> None:
    assert len(official_keys(stage, model=model)) == n
