"""What is kept of many clips' pictures is what each clip alone would give, in whatever order they come."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hdvila_testing.plans import matches_in
from pipeline.likeness.pictures import CLIPS, VIDEOS, find_repeats, kind_of
from pipeline.likeness.same import LIKENESS
from pipeline.likeness.shown import FEW, FINE, distinct_in, kept_in
from pipeline.media.phash import N_HASHES, pack_hashes


def test_of_a_clip_that_shows_few_pictures_finer_ones_are_kept_and_its_distinct_ones_stay() -> None:
    draw = np.random.default_rng(3)
    scenes = draw.integers(1, 2**63, (2 * FEW - 1, N_HASHES), dtype=np.uint64)
    nearly = scenes ^ np.uint64((1 << (FINE + 1)) - 1)
    equal = scenes ^ np.uint64((1 << FINE) - 1)
    hashes = np.stack([scenes, nearly, equal], axis=1).reshape(-1, N_HASHES)
    counts = np.array([3 * FEW, 3 * (FEW - 1)])

    kept = kept_in(hashes, counts, LIKENESS.max_distance)

    assert kept.reshape(-1, 3)[:FEW].tolist() == [[True, False, False]] * FEW
    assert kept.reshape(-1, 3)[FEW:].tolist() == [[True, True, False]] * (FEW - 1)
    distinct = distinct_in(hashes, counts, 10)
    again = distinct_in(hashes[kept], np.array([FEW, 2 * (FEW - 1)]), 10)
    assert hashes[distinct].tolist() == hashes[kept][again].tolist()


def packs_of(names: list[str], seed: int) -> pa.Table:
    """Nine clips a video of eight pictures each; video b shows what a shows, and d's first clip what c's last does."""
    of = {}
    for name in sorted(names):
        draw = np.random.default_rng([seed, *({"b": "a"}.get(name, name)).encode()])
        of[name] = draw.integers(0, 2**63, (9, 8, N_HASHES), dtype=np.uint64)
    if "d" in of and "c" in of:
        of["d"][0] = of["c"][2]
    rows = [
        {
            "clip_id": f"{name}.{n}",
            "video_id": name,
            "n": n,
            "channel_id": "",
            "status": "success",
            "phashes": pack_hashes(map(tuple, of[name][n].tolist())),
        }
        for name in names
        for n in range(9)
    ]
    return pa.Table.from_pylist(rows)


def test_videos_left_out_repeat_nothing() -> None:
    found = matches_in(kind_of(), packs_of(["a", "b", "c", "d"], 0))
    clips, videos = (found.filter(pc.equal(found.column("what"), what)) for what in (CLIPS, VIDEOS))
    assert find_repeats(clips, videos, pa.array(["a", "c"])) == {}
    assert len(find_repeats(clips, videos, pa.array([], pa.string()))) == 2
