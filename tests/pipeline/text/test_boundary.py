"""The boundary model: numpy gives what torch gives, long tracks give what short ones give, odd input is no problem."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import UserError
from pipeline.text.boundary import (
    MODEL_FILE,
    NetModel,
    PauseModel,
    best_threshold,
    known_gaps,
    load_model,
    starts_of,
)
from pipeline.text.captions.track import Word
from tests.pipeline.text.boundary.tracks import words


def test_the_shipped_file_is_small_and_has_its_licence_beside_it() -> None:
    assert MODEL_FILE.stat().st_size < 8_000_000
    assert "CC BY-SA 4.0" in MODEL_FILE.with_name("MODEL_LICENCE.md").read_text()


def test_the_model_runs_in_one_thread_and_leaves_the_others_their_number() -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        before = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        NetModel().probabilities(words(50), np.zeros(50, np.bool_))
        assert [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"] == before


def test_function_words_before_a_pause_end_no_sentence() -> None:
    """People stop to think after a connective: what they go on with belongs to it."""
    said = "so we built the first machine and it worked really well and that is how the whole company started"
    texts = said.split()
    starts = [i * 280 for i in range(len(texts))]
    for i in range(7, len(texts)):
        starts[i] += 900
    track = [Word(t, s, s + 200, True) for t, s in zip(texts, starts, strict=True)]
    found = NetModel().probabilities(track, np.zeros(len(texts), np.bool_)).ends
    assert texts[6] == "and"
    assert found[6] < 0.2


@pytest.mark.parametrize(
    "text", ["it weighs about 27 kilograms of helium gas", "the new RTX 2070 card is quick", "New York City"]
)
def test_numbers_stay_with_their_units_and_names_together(text: str) -> None:
    texts = f"we looked at it and {text} so that was nice".split()
    track = [Word(t.lower(), i * 300, i * 300 + 200, True) for i, t in enumerate(texts)]
    found = NetModel().probabilities(track, np.zeros(len(texts), np.bool_)).ends
    inside = slice(5, 5 + len(text.split()) - 1)
    assert found[inside].max() < 0.3


@pytest.mark.parametrize("n", [0, 1, 2, 127, 128, 129])
def test_any_length_gives_a_probability_a_word(n: int) -> None:
    for model in (NetModel(), PauseModel()):
        found = model.probabilities(words(n) if n else [], np.zeros(n, np.bool_))
        for column in (found.ends, found.inner):
            assert column.shape == (n,)
            assert np.all((column >= 0) & (column <= 1))


def test_pauses_of_words_that_were_not_stamped_are_not_looked_at() -> None:
    made = words(60)
    untimed = [Word(w.text, w.start_ms, w.end_ms, False) for w in made]
    moved = [Word(w.text, i * 300, i * 300 + 200, False) for i, w in enumerate(made)]
    nobody = np.zeros(60, np.bool_)
    stamped, unstamped, elsewhere = (NetModel().probabilities(track, nobody).ends for track in (made, untimed, moved))
    assert np.array_equal(unstamped, elsewhere)
    assert not np.array_equal(stamped, unstamped)


def test_the_threshold_is_the_one_with_the_best_expected_f1() -> None:
    sure = np.array([0.99, 0.98, 0.01, 0.01, 0.0], np.float32)
    assert best_threshold(sure) == pytest.approx(0.98)
    assert best_threshold(np.zeros(0, np.float32)) == 0.5


def test_a_spoilt_model_file_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"model\.npz: the sentence model cannot be read"):
        NetModel(tmp_path / "model.npz")


def test_models_are_chosen_by_name() -> None:
    assert load_model("net").name.startswith("net")
    assert load_model("pause").name == "pause"


def test_the_baseline_is_half_sure_at_three_and_a_half_medians_and_sure_where_the_speaker_changes() -> None:
    track = [Word("w", ms, ms + 50, True) for ms in (0, 100, 200, 550, 650, 750)]
    turns = np.array([False, True, False, False, False, False])
    found = PauseModel().probabilities(track, turns).ends
    assert found == pytest.approx([1 / 4.5, 1, 0.5, 1 / 4.5, 1 / 4.5, 0])
    together = [Word("w", 5, 5, True)] * 3
    assert PauseModel().probabilities(together, np.zeros(3, np.bool_)).ends.tolist() == [0, 0, 0]


def test_a_gap_is_known_between_two_stamped_words() -> None:
    track = [Word("w", i, i, timed) for i, timed in enumerate([True, True, False, True, True])]
    assert known_gaps(track).tolist() == [True, False, False, True, True]
    assert starts_of(track).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("probabilities", "threshold"),
    [([0.9, 0.5, 0.1], 0.5), ([0.5, 0.9, 0.1], 0.5), ([0.9, 0.4, 0.3], 0.4), ([0.6], 0.6), ([0.2, 0.2, 0.2, 0.2], 0.2)],
)
def test_the_threshold_keeps_the_likeliest_ends_whose_expected_f1_is_largest(
    probabilities: list[float], threshold: float
) -> None:
    found = best_threshold(np.array(probabilities, np.float32))
    ordered, total = sorted(probabilities, reverse=True), sum(probabilities)
    expected = {ordered[k - 1]: 2 * sum(ordered[:k]) / (k + total) for k in range(1, len(ordered) + 1)}
    assert found == pytest.approx(max(expected, key=lambda at: expected[at])) == pytest.approx(threshold)


def test_a_model_of_ones_own_is_named_after_its_file_and_a_bad_one_says_how_to_make_one(tmp_path: Path) -> None:
    own = tmp_path / "own.npz"
    own.write_bytes(MODEL_FILE.read_bytes())
    named = load_model("net", str(own))
    assert named.name == f"net-{zlib.crc32(own.read_bytes()):08x}" and load_model("net").name == "net-3"
    own.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"bench/train_boundary\.py"):
        NetModel(own)
