"""What objectives draw: the same at any world size, and no two the same."""

from dataclasses import dataclass

import pytest
import torch
from pydantic import ValidationError

from tests.train.matrix import plain_rows
from tests.train.model_cases import TOKENS
from tests.train.objective_rows import CONFIG
from train.objectives import OBJECTIVES, Draw, base, objective_section, prepare
from train.objectives.base import PURPOSES
from train.rows import Rows


@dataclass(frozen=True, slots=True)
class OneOf(Draw):
    """A rank of several without processes: it knows the whole batch."""

    whole: Rows | None = None
    rank: int = 0

    def position(self, batch: Rows, row: int) -> int:
        return self.rank * len(batch) + row

    def everyone(self, x: torch.Tensor) -> torch.Tensor:
        assert self.whole is not None
        known = [v for v in self.whole.tensors().values() if len(v) and v.shape[1:] == x.shape[1:]]
        start = self.position(x, 0)  # type: ignore[arg-type]
        return next(v for v in known if torch.equal(v[start : start + len(x)], x))


@pytest.mark.parametrize("world", [2, 4])
def test_any_world_size_draws_the_same_pairs_and_masks(world: int) -> None:
    rows = plain_rows(CONFIG)
    whole = prepare(rows, Draw(0, 5, TOKENS), CONFIG.objective)
    n = len(rows) // world
    known = rows.having({"input_ids": whole.input_ids})
    for rank in range(world):
        own = rows[rank * n : (rank + 1) * n]
        draw = OneOf(0, 5, TOKENS, whole=known, rank=rank)
        found = prepare(own, draw, CONFIG.objective)
        for name in ("input_ids", "mlm_labels", "pair_ids", "pair_mask", "itm_labels"):
            assert torch.equal(found[name], whole[name][rank * n : (rank + 1) * n]), name


def test_no_two_objectives_draw_the_same_numbers() -> None:
    assert len(set(PURPOSES.values())) == len(PURPOSES)


@pytest.mark.parametrize("name", [objective.name for objective in OBJECTIVES])
def test_a_weight_is_any_number_from_0_on(name: str) -> None:
    for weight in (0.0, 0.5, 2.0):
        assert getattr(objective_section().model_validate({name: weight}), name) == weight
    with pytest.raises(ValidationError):
        objective_section().model_validate({name: -0.1})


def test_a_run_that_names_no_objective_trains_the_contrastive_one_with_the_published_shares() -> None:
    found = objective_section()().model_dump()

    assert {name: found[name] for name in (o.name for o in OBJECTIVES) if found[name]} == {"contrastive": 1.0}
    assert found["mlm_share"] == found["mvm_share"] == 0.15
    assert (found["kind"], found["same_caption"]) == ("infonce", "negative")


def test_draws_stay_as_they_are_from_version_to_version() -> None:
    """A run that goes on from a checkpoint of an older version draws what it would have drawn."""
    rows = Rows(input_ids=torch.zeros(4, 1))
    seeds = {name: Draw(7, 5, TOKENS).generator(rows, 2, PURPOSES[name]).initial_seed() for name in PURPOSES}

    assert seeds == {
        "mlm": 160794014185693382,
        "itm": 7766398699027570678,
        "mvm": 1221072985868970341,
        "mfr": 5077147659679636381,
    }


def test_a_rows_draws_follow_its_position_in_the_global_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, rows = Draw(0, 5, TOKENS), Rows(input_ids=torch.zeros(4, 1))
    alone = draw.generator(Rows(input_ids=torch.zeros(12, 1)), 9, 1).initial_seed()
    monkeypatch.setattr(base, "rank_in", lambda group: 2)

    assert draw.position(rows, 1) == 9
    assert draw.generator(rows, 1, 1).initial_seed() == alone
