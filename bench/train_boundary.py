"""Trains the sentence boundary model that ships with the package: about ten minutes of one CPU core.

    python -m bench.train_boundary TEXT_FOLDER [--out pipeline/text/boundary/model.npz] [--epochs 6]
                                   [--vectors VOCAB_FOLDER]

TEXT_FOLDER holds the Markdown transcripts of https://github.com/thechangelog/transcripts (CC BY-SA 4.0), one file an
episode, named SHOW__EPISODE.md. They are text alone: pauses are simulated, with a rate, a habit of pausing and a grid
of stamps drawn per piece of text, so that the model meets quick and slow speakers, and tracks without word times.
No caption text is in the shipped weights. Needs torch (which inference does not).
"""

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.text.boundary.features import LETTER_STEPS, N_NUMBERS, TYPICAL_MS, Vocabulary, normalise, numbers
from pipeline.text.boundary.marks import sentence_ends

DEV_SHOWS = ("spotlight", "brainscience")
"""Shows (their people and subjects) that are never trained on: they choose the threshold and the last epoch."""
CHUNK = 128
BATCH = 32
MIN_COUNT = 4
END, QUESTION, N_MARKS = 2, 3, 4
"""Marks: 0 none, 1 comma or dash, 2 full stop, 3 question; from END on a sentence ends. Learning to tell them helps."""
SCRIPTED = 1.1
"""Pieces whose pauses at ends have at least this median of x are read from a script: longer sentences, a pause at most
commas, few hesitations, and a text so unlike a podcast's that a share of its words is hidden: pauses must decide."""
CONJUNCTIONS = frozenset(["and", "but", "so", "because", "or", "which", "then"])
PHRASE_STARTS = CONJUNCTIONS | {
    "that",
    "if",
    "when",
    "where",
    "while",
    "as",
    "with",
    "for",
    "in",
    "on",
    "at",
    "to",
    "is",
}
"""Words before which speakers pause inside a sentence: most hesitations fall there."""
FILLERS = ("um", "uh", "like", "you", "so", "and", "i")


class Episode:
    """One transcript: normalised words, and the mark after each (see END), the turns between speakers."""

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
                    self.marks[-1] = max(self.marks[-1], END)
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
                self.marks[-1] = QUESTION if "?" in token else END
        if self.marks:
            self.marks[-1] = max(self.marks[-1], END)


def clean(line: str) -> str:
    """A line of Markdown as spoken text."""
    line = re.sub(r"\\?\[[^\]]{0,60}\\?\](?!\()", " ", line)
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)
    line = re.sub(r"https?://\S+|<[^>]*>", " ", line)
    return re.sub(r"[*_`#\\]", "", line).strip()


class Piece(NamedTuple):
    """A stretch of an episode as a track: words, the mark after each, whether another speaker follows."""

    words: list[str]
    marks: list[int]
    turns: list[bool]


def join_sentences(piece: Piece, share: float, rng: np.random.Generator) -> None:
    """Makes commas of a share of the ends before a conjunction: who reads from a script speaks in long sentences."""
    for i in range(len(piece.words) - 1):
        joins = piece.marks[i] == END and not piece.turns[i] and piece.words[i + 1] in CONJUNCTIONS
        if joins and rng.random() < share:
            piece.marks[i] = 1


def augment(episode: Episode, begin: int, end: int, rng: np.random.Generator) -> Piece:
    """Words begin to end with what recognisers do: words lost and changed, fillers and repetitions added."""
    piece = Piece([], [], [])
    fillers = float(rng.choice([0.0, 0.01, 0.04]))
    draws, picks = rng.random(end - begin), rng.random(end - begin)
    for i in range(begin, end):
        word, mark, draw, pick = episode.words[i], episode.marks[i], draws[i - begin], picks[i - begin]
        if draw < 0.015 and mark < END:
            continue
        if draw > 1 - 0.02:
            word = episode.words[int(pick * len(episode.words))]
        if 0.5 < draw < 0.5 + fillers:
            piece.words.append(FILLERS[int(pick * len(FILLERS))] if draw < 0.5 + fillers * 0.8 else word)
            piece.marks.append(0)
            piece.turns.append(False)
        piece.words.append(word)
        piece.marks.append(mark)
        piece.turns.append(episode.turns[i])
    return piece


def simulate_starts(piece: Piece, end: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Start times of a piece: each word's typical length times exp(x), x drawn by the mark that follows.

    On stamped tracks x at sentence ends has a median of 0.4 (quick talk) to 1.5 (read from a script) and is seldom
    below 0; elsewhere its 90th percentile is 0.5 to 0.7 and its 99th 1.1 to 1.4 (hesitations). The ranges below
    cover that. `end` is the median at ends; the speaker's rate and the recogniser's grid are drawn too.
    """
    marks, n = np.array(piece.marks), len(piece.words)
    letters = np.fromiter((len(word) for word in piece.words), np.float64, n)
    if end > SCRIPTED:
        spread, slow, comma, chance = rng.uniform((0.22, 0.03, 0.4, 0.5), (0.35, 0.08, 0.8, 0.95))
    else:
        spread, slow, comma, chance = rng.uniform((0.2, 0.03, 0.2, 0.3), (0.4, 0.15, 0.8, 0.8))
        comma = min(comma, end + 0.1)
    phrase = np.array([word in PHRASE_STARTS for word in [*piece.words[1:], ""]])
    hesitates = rng.random(n) < slow * np.where(phrase, 3.5, 0.6)
    x = rng.normal(0, spread, n) + np.where(hesitates, np.abs(rng.normal(0.7, 0.35, n)), 0)
    at_comma = (marks == 1) & (rng.random(n) < chance)
    x = np.where(at_comma, rng.normal(comma, 0.3, n), x)
    x = np.where(marks >= END, np.maximum(rng.normal(end, 0.42, n), rng.normal(0, 0.12, n)), x)
    x = np.where(np.array(piece.turns) & (rng.random(n) < 0.3), x - 0.4, x)
    gaps = np.maximum(np.interp(letters, LETTER_STEPS, TYPICAL_MS) * rng.uniform(0.7, 1.25) * np.exp(x), 20)
    starts = np.concatenate([[0], np.cumsum(gaps)[:-1]])
    grid = float(rng.choice([1, 20, 80]))
    return np.asarray(np.round(starts / grid) * grid, np.int64)


Example = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]


def examples(piece: Piece, vocabulary: Vocabulary, rng: np.random.Generator) -> Iterator[Example]:
    """Chunks of one piece: ids [CHUNK], numbers [CHUNK, N_NUMBERS], marks [CHUNK] (-1 = padding)."""
    n = len(piece.words)
    end = rng.uniform(0.3, 1.1) if rng.random() < 0.65 else rng.uniform(1.2, 1.75)
    scripted = end > SCRIPTED
    if scripted:
        join_sentences(piece, rng.uniform(0.4, 0.9), rng)
    marks = np.array(piece.marks, np.int64)
    timed = rng.random() > 0.12
    shown = np.array(piece.turns) & (rng.random() < 0.25)
    feats = numbers(piece.words, simulate_starts(piece, end, rng), np.full(n, timed), shown)
    ids = np.fromiter((vocabulary.id(word) for word in piece.words), np.int64, n)
    ids[rng.random(n) < (rng.uniform(0.2, 0.7) if scripted else 0.04)] = vocabulary.id("\x00")
    for at in range(0, n, CHUNK):
        pad = max(0, at + CHUNK - n)
        yield (
            np.pad(ids[at : at + CHUNK], (0, pad)),
            np.pad(feats[at : at + CHUNK], ((0, pad), (0, 0))),
            np.pad(marks[at : at + CHUNK], (0, pad), constant_values=-1),
        )


def pieces(episode: Episode, rng: np.random.Generator) -> Iterator[Piece]:
    """The episode cut into tracks of 400 to 8000 words."""
    begin = 0
    while begin < len(episode.words) - 50:
        end = min(begin + int(np.exp(rng.uniform(np.log(400), np.log(8000)))), len(episode.words))
        yield augment(episode, begin, end, rng)
        begin = end


def batches(
    episodes: list[Episode], vocabulary: Vocabulary, rng: np.random.Generator, size: int
) -> Iterator[list[Any]]:
    """All words of the episodes once, in random order: tensors (ids, numbers, marks)."""
    made = [e for episode in episodes for piece in pieces(episode, rng) for e in examples(piece, vocabulary, rng)]
    order = rng.permutation(len(made))
    for at in range(0, len(order), size):
        columns = zip(*(made[i] for i in order[at : at + size]), strict=True)
        yield [torch.from_numpy(np.stack(column)) for column in columns]


class Net(nn.Module):
    """Embedding and numbers, a convolution over three words, one bidirectional GRU, four logits a word."""

    def __init__(self, size: int, embed: int = 64, conv: int = 128, hidden: int = 112) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, embed, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.conv = nn.Conv1d(embed + N_NUMBERS, conv, 3, padding=1)
        self.gru = nn.GRU(conv, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden + N_NUMBERS, N_MARKS)
        self.drop = nn.Dropout(0.3)

    def start_from(self, known: dict[str, NDArray[np.float32]], vocabulary: Vocabulary) -> None:
        """Sets the embeddings of known words to their vectors' main directions, scaled like the others."""
        names = [word for word in vocabulary.words if word in known]
        matrix = np.stack([known[word] for word in names])
        matrix = matrix - matrix.mean(0)
        _, _, directions = np.linalg.svd(matrix, full_matrices=False)
        reduced = matrix @ directions[: self.embedding.embedding_dim].T
        reduced *= 0.15 / reduced.std()
        with torch.no_grad():
            self.embedding.weight[[vocabulary.words[word] for word in names]] = torch.from_numpy(reduced)
        print(f"{len(names)} words start from vectors", flush=True)

    def forward(self, ids: torch.Tensor, feats: torch.Tensor) -> Any:
        """ids [b, n], feats [b, n, N_NUMBERS] -> logits [b, n, N_MARKS]."""
        x = torch.cat([self.drop(self.embedding(ids)), feats], 2)
        x = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        x, _ = self.gru(self.drop(x))
        return self.out(torch.cat([self.drop(x), feats], 2))


def murmur64(data: bytes, seed: int = 1) -> int:
    """MurmurHash64A, the key under which spaCy's vectors hold a word."""
    m, wrap = 0xC6A4A7935BD1E995, 2**64 - 1
    h = seed ^ (len(data) * m & wrap)
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        k = int.from_bytes(data[at : at + 8], "little") * m & wrap
        k = (k ^ k >> 47) * m & wrap
        h = (h ^ k) * m & wrap
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & wrap
    h = (h ^ h >> 47) * m & wrap
    return h ^ h >> 47


def read_vectors(folder: Path, words: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """Vectors of these words from the `vocab` folder of a spaCy model (needs msgpack)."""
    import msgpack

    rows = msgpack.unpackb((folder / "key2row").read_bytes(), strict_map_key=False)
    table = np.load(folder / "vectors")
    found = ((word, rows.get(murmur64(word.encode()), -1)) for word in words)
    return {word: table[row] for word, row in found if row >= 0}


def train(folder: Path, out: Path, epochs: int, seed: int, share: float = 1.0, vectors: Path | None = None) -> None:
    """Trains, prints the score on the held shows after each epoch, and writes the model file."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    episodes = [Episode(path) for path in sorted(folder.glob("*.md"))]
    held = [e for e in episodes if e.show in DEV_SHOWS]
    rest = [e for e in episodes if e.show not in DEV_SHOWS][:: max(1, round(1 / share))]
    counts = Counter(word for e in rest for word in e.words)
    known = read_vectors(vectors, counts) if vectors is not None else {}
    frequent = [word for word, count in counts.items() if count >= MIN_COUNT or (word in known and count > 1)]
    vocabulary = Vocabulary.of(sorted(frequent))
    print(f"{len(rest)} episodes, {sum(counts.values())} words, {vocabulary.size} rows", flush=True)
    net = Net(vocabulary.size)
    if known:
        net.start_from(known, vocabulary)
    steps = epochs * (sum(len(e.words) for e in rest) // (CHUNK * BATCH) * 12 // 10 + 10)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.15)
    for epoch in range(epochs):
        started, total, seen = time.perf_counter(), 0.0, 0
        net.train()
        for ids, feats, marks in batches(rest, vocabulary, np.random.default_rng([seed, epoch]), BATCH):
            loss = nn.functional.cross_entropy(net(ids, feats).transpose(1, 2), marks, ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total, seen = total + loss.item(), seen + 1
        f1 = score(net, held, vocabulary, seed)
        took = time.perf_counter() - started
        print(f"epoch {epoch}: loss {total / seen:.4f}, held shows F1 {f1:.3f}, {took:.0f} s", flush=True)
        save(net, vocabulary, out)


def score(net: Net, held: list[Episode], vocabulary: Vocabulary, seed: int) -> float:
    """F1 on the held shows with simulated pauses, at the best threshold."""
    net.eval()
    said, true = [], []
    with torch.no_grad():
        for ids, feats, marks in batches(held, vocabulary, np.random.default_rng([seed, 999]), 256):
            probability = net(ids, feats).softmax(2)[..., END:].sum(2)
            said.append(probability[marks >= 0].numpy())
            true.append((marks[marks >= 0] >= END).numpy())
    probability, target = np.concatenate(said), np.concatenate(true)
    scores = []
    for threshold in np.arange(0.2, 0.7, 0.02):
        above = probability > threshold
        scores.append(2 * (above & target).sum() / (above.sum() + target.sum()))
    return float(max(scores))


def save(net: Net, vocabulary: Vocabulary, out: Path) -> None:
    """The weights as a compressed npz: the embedding table in 8 bits with a scale a row, the rest in 16-bit floats."""
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    table = state.pop("embedding.weight")
    scale = np.abs(table).max(1, keepdims=True) / 127 + 1e-12
    arrays = {key: value.astype(np.float16) for key, value in state.items()}
    arrays["embedding.int8"] = np.round(table / scale).astype(np.int8)
    arrays["embedding.scale"] = scale.astype(np.float16)
    arrays["words"] = np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8)
    with out.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB", flush=True)


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pipeline/text/boundary/model.npz"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="share of the episodes, for a learning curve")
    parser.add_argument("--vectors", type=Path, help="the vocab folder of a spaCy model, to start embeddings from")
    options = parser.parse_args()
    train(options.folder, options.out, options.epochs, options.seed, options.share, options.vectors)


if __name__ == "__main__":
    main()
