"""The imagined world is what its distribution says, and the same wherever it is asked."""

from pathlib import Path

import numpy as np
import pytest

from bench.world.distribution import FOLDER, read_distribution
from bench.world.videos import World, hashes_of, ids_of

PAPER = World(read_distribution("paper"), 20_000)


def test_an_id_tells_its_video_wherever_it_was_listed() -> None:
    found = PAPER.videos(PAPER.found("some words", 10, 600))
    assert (PAPER.of_ids(found.ids.to_pylist()).n_clips == found.n_clips).all()
    assert (hashes_of(ids_of(found.hashes).to_pylist()) == found.hashes).all()
    channel = int(found.channel[0])
    assert found.hashes[0] in PAPER.of_channel(f"UC{channel:022d}", int(PAPER.channel_sizes[channel]))


def test_the_paper_has_its_clips_a_category_of_sixty_per_cent_and_a_long_tail() -> None:
    listed = [PAPER.found(f"query {k}", category, 600) for k in range(40) for category in (1, 10, 20, 27)]
    found = PAPER.videos(np.unique(np.concatenate(listed)))
    assert found.n_clips.mean() == pytest.approx(30.3, rel=0.05)
    assert 1_000 < found.n_clips.max() <= 2_000
    sizes = PAPER.channel_sizes
    of_largest = sizes[PAPER.channel_categories == 0].sum() / sizes.sum()
    assert of_largest == pytest.approx(0.6, abs=0.05)


def test_most_of_what_a_search_finds_is_of_the_category_searched_for() -> None:
    found = PAPER.videos(PAPER.found("other words", 20, 600))
    assert 0.85 < np.mean(found.category_id == 20) < 0.97


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_each_file_of_a_world_is_whole(path: Path) -> None:
    assert read_distribution(path.stem).name == path.stem


def test_a_key_that_no_world_has_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "odd.toml"
    odd.write_text(FOLDER.joinpath("paper.toml").read_text().replace("clips_mean", "clips_men"))
    with pytest.raises(ValueError, match="clips_mean, clips_men"):
        read_distribution(str(odd))
