"""The recipe of the sentence model runs from text to a file that the pipeline reads, and goes on from a smaller one."""

import lzma
import random
from pathlib import Path

import numpy as np
import pytest

from pipeline.text.boundary import NetModel
from pipeline.text.captions.track import Word

pytest.importorskip("torch")

SENTENCES = (
    "We went home early.",
    "She likes green apples.",
    "Trains are quick, but cars are slow.",
    "Did you see it?",
)


def write_text(folder: Path) -> Path:
    """A text pool of one made-up show to train on, and one whose words have no times for the pauses."""
    folder.mkdir()
    rng = random.Random(0)
    lines = [" ".join(rng.choice(SENTENCES) for _ in range(150)) + "\t" + SENTENCES[0] for _ in range(60)]
    with lzma.open(folder / "shows.txt.xz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    rows = ["file\tnumber\tsource_repo\tpath"]
    for number in range(1, 61):
        repo, show = ("thechangelog/transcripts", "shipit") if number <= 5 else ("made/up", "show")
        rows.append(f"shows.txt.xz\t{number}\t{repo}\t{show}/{number}.md")
    (folder / "index.tsv").write_text("\n".join(rows) + "\n")
    return folder


def ends_of(model: NetModel, text: str) -> list[int]:
    track = [Word(word, i * 300, i * 300 + 250, False) for i, word in enumerate(text.split())]
    return np.flatnonzero(model.probabilities(track, np.zeros(len(track), np.bool_)).ends > 0.5).tolist()


def trained(text: str, path: Path, *more: str) -> NetModel:
    from bench import train_boundary

    train_boundary.main([text, "--work", str(path.with_suffix("")), "--out", str(path), *more])
    model = NetModel(path)
    assert ends_of(model, "we went home early did you see it she likes green apples we went") == [3, 7, 11]
    return model


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    from bench import train_boundary

    monkeypatch.setattr(train_boundary, "BATCH", 8)
    monkeypatch.setattr(train_boundary, "PASSES", ((4.0, 5e-3),))
    return str(write_text(tmp_path / "text"))


def test_text_becomes_a_model(text: str, tmp_path: Path) -> None:
    trained(text, tmp_path / "small.npz", "--width", "24")


@pytest.mark.long
def test_a_larger_model_goes_on_from_a_smaller_one(text: str, tmp_path: Path) -> None:
    small = trained(text, tmp_path / "small.npz", "--width", "24")
    grown = trained(text, tmp_path / "grown.npz", "--width", "32", "--start", str(tmp_path / "small.npz"))
    assert small.name != grown.name
