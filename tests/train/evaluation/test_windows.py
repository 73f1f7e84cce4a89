"""A sentence that belongs to the clip before or after is found there, and one that belongs nowhere is left out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from train.evaluation.around import Windows
from train.evaluation.windows import Clips, by_category, mended, proposed

N_VIDEOS, N_CLIPS, D = 30, 6, 32
FIT, SHIFTED, STRANGE = 0, 1, 2


@pytest.fixture
def clips():
    """(clips, the kind of each sentence, the clip that it tells of): rows are in no order."""
    dice = np.random.default_rng(0)
    n = N_VIDEOS * N_CLIPS
    number = dice.permutation(n)
    video = dice.normal(size=(n, D))
    video /= np.linalg.norm(video, axis=1, keepdims=True)
    row_of = np.argsort(number)
    kind = dice.choice([FIT, FIT, SHIFTED, STRANGE], n)
    tells_of = np.arange(n)
    for row in np.flatnonzero(kind == SHIFTED):
        place = number[row] % N_CLIPS
        step = 1 if place == 0 else -1 if place == N_CLIPS - 1 else dice.choice([-1, 1])
        tells_of[row] = row_of[number[row] + step]
    text = video[tells_of] + 0.05 * dice.normal(size=(n, D))
    text[kind == STRANGE] = dice.normal(size=((kind == STRANGE).sum(), D))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    rows = pa.table(
        {
            "key": [f"video{k // N_CLIPS:03d}_{k % N_CLIPS:05d}" for k in number],
            "start_ms": pa.array(number % N_CLIPS * 4000, pa.int64()),
            "end_ms": pa.array(number % N_CLIPS * 4000 + 4000, pa.int64()),
            "category_id": pa.array(np.where(number < n // 2, 10, 17), pa.int32()),
            "caption": [f"sentence {k}" for k in number],
        }
    )
    fits = kind == FIT
    return Clips(rows, video.astype(np.float32), text.astype(np.float32), fits, 0.05), kind, tells_of


def test_shifted_sentences_return_and_strange_ones_are_left_out(clips):
    given, kind, tells_of = clips
    table = proposed(given)

    keys = table["key"].to_pylist()
    right = [keys[row] for row in tells_of]
    found = table["belongs_to"].to_pylist()
    assert [found[k] for k in np.flatnonzero(kind == FIT)] == [keys[k] for k in np.flatnonzero(kind == FIT)]
    shifted = np.flatnonzero(kind == SHIFTED)
    assert np.mean([found[k] == right[k] for k in shifted]) > 0.9
    assert np.mean([found[k] == "" for k in np.flatnonzero(kind == STRANGE)]) > 0.9
    offsets = table["offset_ms"].to_numpy()
    assert set(abs(offsets[shifted]).tolist()) <= {0, 4000} and not offsets[kind == FIT].any()
    assert not {key.rpartition("_")[0] for key in found if key} - {key.rpartition("_")[0] for key in keys}


def test_a_sentence_that_is_late_by_less_than_a_clip_or_by_many_is_found_among_finer_windows(clips):
    given, _, _ = clips
    dice = np.random.default_rng(1)
    number = np.array([int(key[5:8]) * N_CLIPS + int(key[-5:]) for key in given.rows["key"].to_pylist()])
    every = np.arange(2000, 4000 * N_CLIPS, 1000)
    drawn = dice.normal(size=(N_VIDEOS, len(every) + 3, D))
    shows = sum(drawn[:, k : k + len(every)] for k in range(4))  # windows a second apart share three of four seconds
    shows /= np.linalg.norm(shows, axis=2, keepdims=True)
    at = dice.integers(len(every), size=len(number))
    strange = np.arange(len(number)) % 4 == 0
    text = np.where(strange[:, None], dice.normal(size=(len(number), D)), shows[number // N_CLIPS, at])
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    own = shows[number // N_CLIPS, number % N_CLIPS * 4]
    fits = (own * text).sum(1) > 0.99
    assert 0 < fits.sum() < len(fits)
    windows = Windows(
        np.repeat([f"video{v:03d}" for v in range(N_VIDEOS)], len(every)).astype(object),
        np.tile(every, N_VIDEOS),
        shows.reshape(-1, D).astype(np.float32),
    )
    table = proposed(Clips(given.rows, own.astype(np.float32), text.astype(np.float32), fits, 0.05, windows=windows))

    late = np.flatnonzero(~strange & ~fits)
    true = every[at] - (number % N_CLIPS * 4000 + 2000)
    assert np.mean(table["offset_ms"].to_numpy()[late] == true[late]) > 0.9
    assert not table["offset_ms"].to_numpy()[fits].any()
    keys, found = table["key"].to_pylist(), table["belongs_to"].to_pylist()
    assert np.mean([found[k] == "" for k in np.flatnonzero(strange)]) > 0.9
    shown = [abs(int(found[k][-5:]) * 4000 + 2000 - every[at[k]]) <= 2000 for k in late if found[k]]
    assert all(shown) and all(found[k] == keys[k] for k in np.flatnonzero(fits))


def test_mended_pairs_have_each_clip_once_with_its_own_sentence_first(clips):
    given, kind, _ = clips
    table = proposed(given)
    caption = dict(zip(table["key"].to_pylist(), table["caption"].to_pylist(), strict=True))

    pairs = mended(table)

    assert len({pair["video"] for pair in pairs}) == len(pairs)
    own = {key for key, is_fit in zip(caption, kind == FIT, strict=True) if is_fit}
    assert own <= {pair["video"] for pair in pairs}
    assert all(pair["caption"] == caption[pair["video"]] for pair in pairs if pair["video"] in own)


def test_a_category_says_how_far_speech_lies_from_pictures(clips):
    given, _, _ = clips
    table = by_category(proposed(given))

    assert [row[0] for row in table] == [10, 17]
    assert sum(sum(row[1:5]) for row in table) == N_VIDEOS * N_CLIPS
    assert all(row[5] == pytest.approx(4.0) for row in table)
