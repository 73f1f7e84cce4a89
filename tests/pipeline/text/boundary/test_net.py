"""The net: numpy gives what torch gives, whatever the parts."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.text.boundary import MODEL_FILE
from pipeline.text.boundary.evidence import COMMA, N_EVIDENCE, evidence
from pipeline.text.boundary.features import TURN, Vocabulary, normalise, pair_keys, pair_rows
from pipeline.text.boundary.net import BoundaryNet, trust_in_gaps
from tests.pipeline.text.boundary.tracks import words

PAIRS = (("beta", "gamma"), ("alpha", "beta"))


def test_numpy_gives_what_torch_gives(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from bench.train_boundary import Words, save
    from bench.train_pauses import Pauses

    torch.manual_seed(0)
    vocabulary = Vocabulary.of(["alpha", "beta", "gamma"])
    known = np.sort([pair_keys(np.array([vocabulary.id(a), vocabulary.id(b)]))[0] for a, b in PAIRS])
    spoken, pauses = Words(vocabulary.size, 1 + len(known)).eval(), Pauses().eval()
    torch.nn.init.normal_(pauses.out.weight)
    torch.nn.init.normal_(spoken.pairs.weight)
    save(spoken, pauses, vocabulary, known, tmp_path / "model.npz", {"alpha"})
    tokens = ["alpha", "unknown", "beta", "gamma", "other"] * 12
    turns = np.zeros(len(tokens), np.bool_)
    turns[[7, 30]] = True
    starts = np.cumsum(np.random.default_rng(1).integers(80, 900, len(tokens)))
    rows = [vocabulary.id(token) for token in tokens]
    rows = [*rows[:8], TURN, *rows[8:31], TURN, *rows[31:]]
    kept = [i for i, row in enumerate(rows) if row != TURN]
    with torch.no_grad():
        pairs = torch.from_numpy(pair_rows(np.array(rows), known))
        marks = spoken(torch.tensor([rows]), pairs[None]).log_softmax(2)[0, kept].numpy()
        shown, hidden = (
            evidence(marks, tokens, starts, np.full(len(tokens), known), turns, {"alpha"}) for known in (True, False)
        )
        odds = [pauses(torch.from_numpy(x[None]))[0].numpy() for x in (shown, hidden)]
        trust = trust_in_gaps(shown)
        expected = 1 / (1 + np.exp(-(trust * odds[0] + (1 - trust) * odds[1])))
    net = BoundaryNet(tmp_path / "model.npz")
    assert np.abs(net.marks(tokens, turns) - marks).max() < 0.02
    found = net.probabilities(tokens, starts, np.ones(len(tokens), np.bool_), turns)
    assert np.abs(found.ends - expected).max() < 0.02
    comma = np.exp(marks[:, COMMA]) / (np.exp(marks[:, COMMA]) + np.exp(marks[:, 0]))
    assert np.abs(found.inner - (1 - expected) * comma).max() < 0.02


def test_gaps_that_tell_little_are_half_believed() -> None:
    tells = np.zeros((3, N_EVIDENCE), np.float32)
    tells[:, -1] = 0.85
    misleads = np.zeros((3, N_EVIDENCE), np.float32)
    misleads[:, -1] = 0.6
    assert trust_in_gaps(tells) == 1.0
    assert trust_in_gaps(misleads) == 0.5


def test_parts_do_not_show_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    net = BoundaryNet(MODEL_FILE)
    texts = [normalise(word.text) for word in words(700)]
    nobody = np.zeros(700, np.bool_)
    nobody[350] = True
    whole = net.marks(texts, nobody)
    monkeypatch.setattr("pipeline.text.boundary.net.PART", 97)
    assert np.abs(net.marks(texts, nobody) - whole).max() < 1e-4
