"""What was committed since the last look: each part once, and no look depends on how much there was before."""

import random
from pathlib import Path

import pytest

from manifests.files import Files
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.merge import MergeSizes, plan_merge
from pipeline.engine.store.new_parts import NewParts
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import SIZES, fill, merge_all


@pytest.mark.parametrize("seed", range(2))
def test_each_part_comes_once_however_commits_merges_and_looks_follow_one_another(tmp_path: Path, seed: int) -> None:
    dice, store = random.Random(seed), Store(str(tmp_path / "out"))
    looks = {folder: NewParts(store, folder) for folder in ("videos", "clips/making", "rejects/making")}
    came: dict[str, list[str]] = {folder: [] for folder in looks}
    units = [f"u{i}" for i in range(40)]
    dice.shuffle(units)
    while units:
        n = dice.randint(1, 6)
        fill(Store(store.url), units[:n])
        del units[:n]
        if dice.random() < 0.5:
            merge_all(Store(store.url), SIZES)
        for folder in dice.sample(sorted(looks), dice.randint(0, 3)):
            came[folder] += [part.unit for part in looks[folder].new()]
    for folder, look in looks.items():
        came[folder] += [part.unit for part in look.new()]
        assert sorted(came[folder]) == sorted(part.unit for part in store.parts(folder))
        assert look.new() == []


@pytest.mark.parametrize("many", ["merged, kept for readers", "not merged yet"])
def test_a_look_lists_no_names_of_old_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: str) -> None:
    names, listed = Files.names, []  # type: ignore[var-annotated]

    def listing(files: Files, folder: str, begin: str = "") -> list[str]:
        found = names(files, folder, begin)
        listed.extend(found)
        return found

    costs = set()
    for n in (20, 60, 120):
        store = Store(str(tmp_path / f"{n}"))
        fill(store, [f"u{i}" for i in range(n)], a_group=n)
        sizes = MergeSizes(n_units=n if many.startswith("merged") else 2 * n, fan_in=9)
        merge_all(store, sizes)
        fill(store, ["u8000"])
        look, follower = NewParts(store, "clips"), Follower(Store(store.url), "clips", ["clip_id"])
        assert len(look.new()) == n + 1 == sum(rows.num_rows for rows in follower.new()) / 3
        assert plan_merge(store, sizes) is None
        fill(store, ["u9000"])
        with monkeypatch.context() as patch:
            patch.setattr(Files, "names", listing)
            assert [part.unit for part in look.new()] == ["u9000"]
            assert sum(rows.num_rows for rows in follower.new()) == 3
            assert plan_merge(store, sizes) is None
        assert len(store.names("clips")) == n + 2
        costs.add(len(listed))
        listed.clear()
    assert len(costs) == 1 and costs.pop() < 10
