"""The balance in numbers: entropies by hand, and a document that is read back as it was written."""

import json
import math

import pytest

from pipeline.balance.ranking import rank_candidates
from pipeline.balance.result import BalanceResult, entropy, normalised_entropy
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from tests.pipeline.balance.worlds import MUSIC, SPORTS, candidates, made


def test_entropies_by_hand() -> None:
    assert entropy([1, 1, 1, 1]) == pytest.approx(math.log(4))
    assert entropy([3, 1]) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert entropy([]) == entropy([0, 0]) == entropy([5]) == 0.0
    assert normalised_entropy([2, 2, 2]) == pytest.approx(1.0)
    assert normalised_entropy([7, 0, 0]) == normalised_entropy([7]) == 0.0


def test_the_document_is_read_back_as_it_was() -> None:
    rows = [("m", MUSIC, "", 2, 2000), ("s", SPORTS, "", 1, 1000), ("gone", SPORTS, "", 3, 3000)]
    outcomes = Outcomes(made({"m": [1000, 1000], "s": [1000]}))
    result = select(rank_candidates(candidates(rows), 0), outcomes, BalanceConfig(unit="clips")).result

    assert BalanceResult.of_document(json.loads(json.dumps(result.document()))) == result
    music = next(c for c in result.categories if c.category_id == MUSIC)
    assert (music.planned, music.made, music.kept, music.videos, music.videos_kept) == (2, 2, 2, 1, 1)
    sports = next(c for c in result.categories if c.category_id == SPORTS)
    assert (sports.planned, sports.kept, sports.videos) == (4, 1, 2) and "in reserve" in sports.why
