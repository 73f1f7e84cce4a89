"""The boundary model: numpy gives what torch gives, long tracks give what short ones give, odd input is no problem."""

from pathlib import Path

import numpy as np
import pytest

from manifests.errors import UserError
from pipeline.text.boundary import MODEL_FILE, NetModel, PauseModel, best_threshold, load_model
from pipeline.text.boundary.features import N_NUMBERS, Vocabulary, normalise, numbers
from pipeline.text.boundary.net import CONTEXT, BoundaryNet
from pipeline.text.captions.track import Word


def words(n: int, seed: int = 0) -> list[Word]:
    """n stamped words of the model's own vocabulary with uneven gaps."""
    rng = np.random.default_rng(seed)
    known = BoundaryNet(MODEL_FILE).words
    starts = np.cumsum(rng.integers(80, 900, n))
    return [Word(known[int(rng.integers(len(known)))], int(s), int(s) + 80, True) for s in starts]


def test_the_shipped_file_is_small_and_has_its_licence_beside_it() -> None:
    assert MODEL_FILE.stat().st_size < 4_000_000
    assert "CC BY-SA 4.0" in MODEL_FILE.with_name("MODEL_LICENCE.md").read_text()


def test_numpy_gives_what_torch_gives(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from bench.train_boundary import END, Net, save

    torch.manual_seed(0)
    vocabulary = Vocabulary.of(["alpha", "beta", "gamma"])
    net = Net(vocabulary.size).eval()
    save(net, vocabulary, tmp_path / "model.npz")
    tokens = ["alpha", "unknown", "beta", "gamma", "other"] * 12
    feats = np.random.default_rng(1).normal(size=(len(tokens), N_NUMBERS)).astype(np.float32)
    ids = torch.tensor([[0] * CONTEXT + [vocabulary.id(t) for t in tokens] + [0] * 100])
    padded = torch.zeros(1, ids.shape[1], N_NUMBERS)
    padded[0, CONTEXT : CONTEXT + len(tokens)] = torch.from_numpy(feats)
    with torch.no_grad():
        expected = net(ids, padded).softmax(2)[0, CONTEXT : CONTEXT + len(tokens), END:].sum(1).numpy()
    found = BoundaryNet(tmp_path / "model.npz").probabilities(tokens, feats)
    assert np.abs(found - expected).max() < 0.01


def test_windows_hardly_show_in_the_result() -> None:
    made = words(700)
    whole = NetModel().probabilities(made, np.zeros(700, np.bool_))
    net = BoundaryNet(MODEL_FILE)
    texts = [normalise(word.text) for word in made]
    feats = numbers(texts, np.array([w.start_ms for w in made]), np.ones(700, np.bool_), np.zeros(700, np.bool_))
    shifted = net.probabilities(texts[50:], feats[50:])[CONTEXT:]
    assert np.abs(whole[50 + CONTEXT :] - shifted).max() < 0.1


@pytest.mark.parametrize("n", [0, 1, 2, 127, 128, 129])
def test_any_length_gives_a_probability_a_word(n: int) -> None:
    for model in (NetModel(), PauseModel()):
        found = model.probabilities(words(n) if n else [], np.zeros(n, np.bool_))
        assert found.shape == (n,)
        assert np.all((found >= 0) & (found <= 1))


def test_pauses_of_words_that_were_not_stamped_are_not_looked_at() -> None:
    made = words(60)
    untimed = [Word(w.text, w.start_ms, w.end_ms, False) for w in made]
    moved = [Word(w.text, i * 300, i * 300 + 200, False) for i, w in enumerate(made)]
    nobody = np.zeros(60, np.bool_)
    assert np.array_equal(NetModel().probabilities(untimed, nobody), NetModel().probabilities(moved, nobody))
    assert not np.array_equal(NetModel().probabilities(made, nobody), NetModel().probabilities(untimed, nobody))


def test_the_threshold_is_the_one_with_the_best_expected_f1() -> None:
    sure = np.array([0.99, 0.98, 0.01, 0.01, 0.0], np.float32)
    assert best_threshold(sure) == pytest.approx(0.98)
    assert best_threshold(np.zeros(0, np.float32)) == 0.5


def test_a_spoilt_model_file_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"model\.npz: the sentence model cannot be read"):
        NetModel(tmp_path / "model.npz")


def test_models_are_told_by_name() -> None:
    assert load_model("net").name.startswith("net")
    assert load_model("pause").name == "pause"


def test_words_are_normalised_alike_with_and_without_marks() -> None:
    assert [normalise(t) for t in ("Don’t,", "“U.S.”", "3.5", "1997!", "--", "state-of-the-art.")] == [
        "don't",
        "u.s",
        "0.0",
        "0000",
        "",
        "state-of-the-art",
    ]
