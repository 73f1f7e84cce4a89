"""Trains the sentence boundary model that ships with the package, on two CPU cores in about ten minutes.

    python -m bench.train_boundary TEXT_FOLDER [--out pipeline/boundary/model.npz] [--epochs 4]

TEXT_FOLDER holds the Markdown transcripts of https://github.com/thechangelog/transcripts (CC BY-SA 4.0), one file an
episode, named SHOW__EPISODE.md. They are text alone: pauses are simulated, with a rate, a habit of pausing and a grid
of stamps drawn per piece of text, so that the model meets quick and slow speakers, and tracks without word times.
No caption text is in the shipped weights. Needs torch (which inference does not).
"""

import argparse
import json
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.boundary.features import N_NUMBERS, Vocabulary, normalise, numbers
from pipeline.boundary.marks import sentence_ends

DEV_SHOWS = ("spotlight", "brainscience")
"""Shows (their people and subjects) that are never trained on: they choose the threshold and the last epoch."""
CHUNK = 192
MIN_COUNT = 4
FILLERS = ("um", "uh", "like", "you", "so", "and", "i")


class Episode:
    """One transcript: normalised words, and after each word 0 nothing, 1 a comma or dash, 2 a sentence end; turns."""

    def __init__(self, path: Path) -> None:
        self.show = path.name.split("__")[0]
        self.words: list[str] = []
        self.marks: list[int] = []
        self.turns: list[bool] = []
        speaker = ""
        for block in path.read_text(encoding="utf-8").split("\n"):
            match = re.match(r"\*\*(.{1,60}?):\*\*", block)
            text = clean(block[match.end() :] if match else block)
            if match and match[1] != speaker:
                speaker = match[1]
                if self.turns:
                    self.turns[-1] = True
                    self.marks[-1] = 2
            if text and not (match and match[1] == "Break"):
                self._add(text.split())

    def _add(self, tokens: list[str]) -> None:
        ends = sentence_ends(tokens)
        for token, end in zip(tokens, ends, strict=True):
            for part in re.split(r"[–—/]|--", token):
                word = normalise(part)
                if word:
                    self.words.append(word)
                    self.marks.append(1 if re.search(r"[,;:–—-]$", token) else 0)
                    self.turns.append(False)
            if end and self.marks:
                self.marks[-1] = 2
        if self.marks:
            self.marks[-1] = 2


def clean(line: str) -> str:
    """A line of Markdown as spoken text."""
    line = re.sub(r"\\?\[[^\]]{0,60}\\?\](?!\()", " ", line)
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)
    line = re.sub(r"https?://\S+|<[^>]*>", " ", line)
    return re.sub(r"[*_`#\\]", "", line).strip()


def augment(episode: Episode, begin: int, rng: np.random.Generator) -> tuple[list[str], list[int], list[bool]]:
    """CHUNK or more words from `begin` with what recognisers do: words lost, changed, fillers and repetitions added."""
    words: list[str] = []
    marks: list[int] = []
    turns: list[bool] = []
    draws = rng.random(CHUNK * 2)
    filler = rng.choice([0.0, 0.01, 0.04])
    for i in range(begin, min(begin + CHUNK, len(episode.words))):
        word, mark, turn, draw = episode.words[i], episode.marks[i], episode.turns[i], draws[i - begin]
        if draw < 0.02 and mark < 2:
            continue
        if draw > 1 - 0.02:
            word = episode.words[int(draws[i - begin + CHUNK] * len(episode.words))]
        words.append(word)
        marks.append(mark)
        turns.append(turn)
        if 0.5 < draw < 0.5 + filler:
            words.append(FILLERS[int(draws[i - begin + CHUNK] * len(FILLERS))] if draw < 0.5 + filler * 0.8 else word)
            marks.append(0 if mark < 2 else rng.choice([0, 2]))
            turns.append(False)
            if mark == 2:
                marks[-2], turns[-2] = (0, False) if marks[-1] == 2 else (2, turns[-2])
    return words, marks, turns


def simulate_starts(words: list[str], marks: list[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Start times: a length by letters, and a pause that is likelier and longer at commas and at sentence ends.

    The ranges cover what was measured on stamped tracks: gaps above 0.5 s at 32-89 % of ends, 0.3-16 % elsewhere.
    """
    n = len(words)
    letters = np.array([len(word) for word in words], np.float64)
    rate = rng.uniform(0.75, 1.35)
    lengths = (70 + 42 * letters) * rate * np.exp(rng.normal(0, rng.uniform(0.15, 0.45), n))
    inside, comma, end = rng.uniform(0.005, 0.12), rng.uniform(0.1, 0.45), rng.uniform(0.3, 0.97)
    chance = np.choose(np.array(marks), [inside, max(comma, inside), end])
    median = np.choose(np.array(marks), [250.0, rng.uniform(150, 350), rng.uniform(250, 800)])
    pauses = np.where(rng.random(n) < chance, median * np.exp(rng.normal(0, 0.7, n)), 0)
    gaps = np.maximum(lengths + pauses, 20)
    starts = np.concatenate([[0], np.cumsum(gaps)[:-1]])
    grid = rng.choice([1, 40, 80])
    return (np.round(starts / grid) * grid).astype(np.int64)


def example(
    episode: Episode, begin: int, vocabulary: Vocabulary, rng: np.random.Generator, *, noise: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """One chunk: ids [CHUNK], numbers [CHUNK, N_NUMBERS], targets [CHUNK] (-1 = padding)."""
    words, marks, turns = augment(episode, begin, rng)
    words, marks, turns = words[:CHUNK], marks[:CHUNK], turns[:CHUNK]
    n = len(words)
    untimed = rng.random() < 0.15
    shown = np.array(turns) & (rng.random() < 0.25)
    feats = numbers(words, simulate_starts(words, marks, rng), np.full(n, not untimed), shown)
    ids = np.zeros(CHUNK, np.int64)
    ids[:n] = [vocabulary.id(word) for word in words]
    drop = (rng.random(n) < 0.02) & noise
    ids[:n][drop] = vocabulary.id("\x00")
    out = np.zeros((CHUNK, N_NUMBERS), np.float32)
    out[:n] = feats
    targets = np.full(CHUNK, -1, np.float32)
    targets[:n] = np.array(marks) == 2
    return ids, out, targets


class Net(nn.Module):
    """Embedding and numbers, a convolution over three words, one bidirectional GRU, a logit for each word."""

    def __init__(self, size: int, embed: int = 64, conv: int = 96, hidden: int = 96) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, embed, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.conv = nn.Conv1d(embed + N_NUMBERS, conv, 3, padding=1)
        self.gru = nn.GRU(conv, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden + N_NUMBERS, 1)
        self.drop = nn.Dropout(0.3)

    def forward(self, ids: torch.Tensor, feats: torch.Tensor) -> torch.Tensor:
        """ids [b, n], feats [b, n, N_NUMBERS] -> logits [b, n]."""
        x = torch.cat([self.drop(self.embedding(ids)), feats], 2)
        x = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        x, _ = self.gru(self.drop(x))
        return self.out(torch.cat([self.drop(x), feats], 2))[..., 0]


def batches(episodes: list[Episode], vocabulary: Vocabulary, rng: np.random.Generator, size: int = 64):
    """All chunks of the episodes once, from random offsets, in random order."""
    places = [(e, b) for e in episodes for b in range(int(rng.integers(0, CHUNK)), len(e.words) - 20, CHUNK)]
    order = rng.permutation(len(places))
    for at in range(0, len(order), size):
        made = [example(*places[i], vocabulary, rng) for i in order[at : at + size]]
        yield [torch.from_numpy(np.stack(column)) for column in zip(*made, strict=True)]


def f1_of(probability: NDArray[np.float32], target: NDArray[np.float32], threshold: float) -> float:
    """F1 of boundaries above the threshold."""
    said = probability > threshold
    hits = float((said & (target == 1)).sum())
    return 2 * hits / max(float(said.sum() + (target == 1).sum()), 1.0)


def train(folder: Path, out: Path, epochs: int, seed: int, share: float = 1.0) -> None:
    """Trains, prints the score on the held shows after each epoch, and writes the model file."""
    torch.manual_seed(seed)
    episodes = [Episode(path) for path in sorted(folder.glob("*.md"))]
    held = [e for e in episodes if e.show in DEV_SHOWS]
    rest = [e for e in episodes if e.show not in DEV_SHOWS]
    rest = rest[:: max(1, round(1 / share))]
    counts = Counter(word for e in rest for word in e.words)
    vocabulary = Vocabulary.of(sorted(word for word, count in counts.items() if count >= MIN_COUNT))
    print(f"{len(rest)} episodes, {sum(counts.values())} words, {vocabulary.size} rows", flush=True)
    net = Net(vocabulary.size)
    steps = epochs * (sum(len(e.words) for e in rest) // (CHUNK * 64) + 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps + 20, pct_start=0.15)
    loss_of = nn.BCEWithLogitsLoss(reduction="none")
    threshold = 0.5
    for epoch in range(epochs):
        started, total, seen = time.perf_counter(), 0.0, 0
        net.train()
        for ids, feats, target in batches(rest, vocabulary, np.random.default_rng([seed, epoch])):
            mask = target >= 0
            loss = loss_of(net(ids, feats), target.clamp(min=0))[mask].mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total, seen = total + float(loss) * len(ids), seen + len(ids)
        threshold, f1 = score(net, held, vocabulary, seed)
        took = time.perf_counter() - started
        print(
            f"epoch {epoch}: loss {total / seen:.4f}, held shows F1 {f1:.3f} at {threshold:.2f}, {took:.0f} s",
            flush=True,
        )
    save(net, vocabulary, threshold, out)


def score(net: Net, held: list[Episode], vocabulary: Vocabulary, seed: int) -> tuple[float, float]:
    """(best threshold, F1 there) on the held shows with simulated pauses."""
    net.eval()
    said, true = [], []
    with torch.no_grad():
        for ids, feats, target in batches(held, vocabulary, np.random.default_rng([seed, 999])):
            probability = torch.sigmoid(net(ids, feats))
            said.append(probability[target >= 0].numpy())
            true.append(target[target >= 0].numpy())
    probability, target = np.concatenate(said), np.concatenate(true)
    return max(((t, f1_of(probability, target, t)) for t in np.arange(0.2, 0.7, 0.02)), key=lambda pair: pair[1])


def save(net: Net, vocabulary: Vocabulary, threshold: float, out: Path) -> None:
    """The weights as a compressed npz: the embedding table in 8 bits with a scale a row, the rest in 16-bit floats."""
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    table = state.pop("embedding.weight")
    scale = np.abs(table).max(1, keepdims=True) / 127 + 1e-12
    arrays = {key: value.astype(np.float16) for key, value in state.items()}
    arrays["embedding.int8"] = np.round(table / scale).astype(np.int8)
    arrays["embedding.scale"] = scale.astype(np.float16)
    arrays["words"] = np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8)
    arrays["meta"] = np.frombuffer(json.dumps({"threshold": round(float(threshold), 2)}).encode(), np.uint8)
    with out.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, sentence end above {threshold:.2f}", flush=True)


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pipeline/boundary/model.npz"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="share of the episodes, for a learning curve")
    options = parser.parse_args()
    train(options.folder, options.out, options.epochs, options.seed, options.share)


if __name__ == "__main__":
    main()
