"""Trains the sentence boundary model that ships with the package: about twenty minutes of one idle CPU core.

    python -m bench.train_boundary TEXT_FOLDER --work WORK_FOLDER [--out pipeline/text/boundary/model.npz]
    python -m bench.train_boundary TEXT_FOLDER --work LARGE --width 512 --rounds 3 --device cuda --out large.npz
    python -m bench.train_boundary TEXT_FOLDER --work GROWN --start OLDER.npz

TEXT_FOLDER is what `bench/boundary_text.py` describes. First a convolutional net over words and pairs of words is
trained, pass after pass over the text, in 16-bit floats where the processor has them; WORK_FOLDER keeps the weights of
each pass, and a run that finds them continues from there. Then `bench/train_pauses.py` trains the small net that
combines its result with a track's gaps. Needs torch, which inference does not.

A larger net (--width, --rounds) is for those who have a GPU or time: `text.sentences.weights` uses it. With --start a
net continues from a model file with the same words and as many channels or fewer, with or without pairs: that is how
the shipped model was made from the previous one.
"""

import argparse
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.boundary_text import Episode, Lexicon, read_pool
from bench.train_pauses import Pauses, train_pauses
from pipeline.text.boundary.evidence import END, FUNCTION_WORDS, N_MARKS
from pipeline.text.boundary.features import MAX_ROWS, TURN, UNKNOWN, Vocabulary, pair_keys, pair_rows
from pipeline.text.boundary.net import DILATIONS, FIRST_WIDTH, BoundaryNet

MAX_WORDS = 40_000
"""Words in the vocabulary: the most frequent in the training text, occurring at least MIN_COUNT times."""
MIN_COUNT = 8
MAX_PAIRS = 80_000
"""Pairs of known words with a vector of their own: the most frequent ones."""
WINDOW = 256
BATCH = 48
MIXED_WORDS = 1_000_000
"""Windows are shuffled among this many words at a time."""
REPORT_STEPS = 100
PASSES = ((1.0, 2.5e-3), (1.0, 1.8e-3), (1.0, 1.2e-3))
"""(passes over the text, initial learning rate) of each round of training; each ends with weights to keep."""
FILLERS = ("um", "uh", "like", "you", "so", "and", "i")


WIDTH = 160
"""Channels of the shipped net over words; one round of DILATIONS."""


class Words(nn.Module):
    """Vectors of words and pairs, a wide convolution, residual dilated ones, N_MARKS logits per word (see BoundaryNet).

    `size`, `n_pairs`: rows of the two tables; row 0 of each means none.
    """

    def __init__(self, size: int, n_pairs: int = 1, embed: int = 64, width: int = WIDTH, rounds: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, embed, padding_idx=0)
        self.pairs = nn.Embedding(n_pairs, embed, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.zeros_(self.pairs.weight)
        self.first = nn.Conv1d(embed, width, FIRST_WIDTH, padding=FIRST_WIDTH // 2)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in DILATIONS * rounds)
        self.out = nn.Linear(width, N_MARKS)

    def forward(self, ids: torch.Tensor, pairs: torch.Tensor) -> Any:
        """ids, pairs [b, n] -> logits [b, n, N_MARKS]."""
        x = torch.relu(self.first((self.embedding(ids) + self.pairs(pairs)).transpose(1, 2)))
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.out(x.transpose(1, 2))


class Stream:
    """Training text as arrays of vocabulary rows and marks, damaged in a new way each time."""

    def __init__(
        self,
        episodes: Sequence[Episode],
        lexicon: Lexicon,
        vocabulary: Vocabulary,
    ) -> None:
        self.episodes = episodes
        self.row_of = np.array([vocabulary.id(word) for word in lexicon.words], np.int32)
        spoken = (self.row_of[episode.ids] for episode in episodes)
        self.pairs = most_said_pairs(spoken, 2 + len(vocabulary.words), MAX_PAIRS)
        self.fillers = np.array([vocabulary.id(word) for word in FILLERS], np.int32)
        self.n_words = sum(len(episode.ids) for episode in episodes)
        self.said = np.concatenate([self.row_of[episode.ids] for episode in episodes[::20]])
        """A sample of all words, from which misheard words are drawn."""
        self.unknown = vocabulary.id(UNKNOWN)

    def episode(self, episode: Episode, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """An episode as a recogniser might give it: words lost, changed, hidden, added; turns marked in some."""
        rows, marks, turns = self.row_of[episode.ids].copy(), episode.marks.astype(np.int64), episode.turns
        draw = rng.random(len(rows))
        changed = draw < 0.02
        rows[changed] = self.said[rng.integers(0, len(self.said), int(changed.sum()))]
        rows[(draw > 0.02) & (draw < 0.03)] = self.unknown
        keep = ~((draw > 0.985) & (marks < END) & (rng.random() < 0.8))
        rows, marks, turns = rows[keep], marks[keep], turns[keep]
        share = float(rng.choice([0.0, 0.005, 0.02, 0.04]))
        at = np.flatnonzero(rng.random(len(rows)) < share)
        repeated = rng.random(len(at)) < 0.3
        added = np.where(repeated, rows[at], self.fillers[rng.integers(0, len(self.fillers), len(at))])
        rows, marks, turns = np.insert(rows, at, added), np.insert(marks, at, 0), np.insert(turns, at, False)
        if rng.random() < 0.3:
            at = np.flatnonzero(turns) + 1
            rows, marks = np.insert(rows, at, TURN), np.insert(marks, at, -1)
        return rows, marks

    def mixed(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Yields all episodes once in random order, in runs of about MIXED_WORDS words."""
        rows: list[NDArray[np.int32]] = []
        marks: list[NDArray[np.int64]] = []
        for number in rng.permutation(len(self.episodes)):
            row, mark = self.episode(self.episodes[number], rng)
            rows.append(row)
            marks.append(mark)
            if sum(map(len, rows)) >= MIXED_WORDS:
                yield np.concatenate(rows), np.concatenate(marks)
                rows, marks = [], []
        if rows:
            yield np.concatenate(rows), np.concatenate(marks)


def vocabulary_of(episodes: Sequence[Episode], lexicon: Lexicon) -> Vocabulary:
    """The most frequent words in these episodes."""
    counts = np.zeros(len(lexicon.numbers), np.int64)
    for episode in episodes:
        counts += np.bincount(episode.ids, minlength=len(counts))
    words = lexicon.words
    order = np.argsort(-counts, kind="stable")[:MAX_WORDS]
    return Vocabulary.of(sorted(words[i] for i in order if counts[i] >= MIN_COUNT))


def most_said_pairs(spoken: Iterable[NDArray[np.int32]], first_bucket: int, n_pairs: int) -> NDArray[np.int64]:
    """The keys of the n_pairs most frequent pairs, sorted; only pairs of known words, not of hash buckets."""
    keys = np.concatenate([pair_keys(rows)[:-1] for rows in spoken if len(rows)])
    keys = keys[(keys // MAX_ROWS < first_bucket) & (keys % MAX_ROWS < first_bucket)]
    found, times = np.unique(keys, return_counts=True)
    return np.sort(found[np.argsort(-times, kind="stable")[:n_pairs]])


def grow_from(net: Words, path: Path) -> None:
    """Gives the net the weights of a model file with the same words, and as many channels or fewer.

    It then gives the same results as that model: the new channels and pairs have no effect yet.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    state = net.state_dict()
    tables = [name for name in ("embedding", "pairs") if f"words.{name}.int8" in arrays]
    for name in tables:
        scale = arrays[f"words.{name}.scale"].astype(np.float32)
        state[f"{name}.weight"] = torch.from_numpy(arrays[f"words.{name}.int8"].astype(np.float32) * scale)
    for name in [name for name in state if not name.endswith(("embedding.weight", "pairs.weight"))]:
        old = torch.from_numpy(arrays[f"words.{name}"].astype(np.float32))
        if old.dim() > 1:
            state[name][: len(old), old.shape[1] :] = 0
            state[name][: len(old), : old.shape[1]] = old
        else:
            state[name][: len(old)] = old
    net.load_state_dict(state)


def train_words(net: Words, stream: Stream, passes: float, rate: float, seed: int, keep: Path) -> None:
    """Trains the convolutional net in this many passes over the text, with a learning rate falling from `rate` to zero.

    Saves its weights to `keep`.
    """
    device = next(net.parameters()).device
    # Without instructions for them, 16-bit floats are converted back and forth: slower by far than floats of 32 bits.
    is_mixed = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    steps = int(passes * stream.n_words * 1.02) // (WINDOW * BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    started, total = time.perf_counter(), 0.0
    for step, batch in enumerate(itertools.islice(windows(stream, seed), steps), start=1):
        ids, pairs, marks = (tensor.to(device) for tensor in batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=is_mixed):
            logits = net(ids, pairs).transpose(1, 2).float()
            loss = nn.functional.cross_entropy(logits, marks, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % REPORT_STEPS == 0 or step == steps:
            print(
                f"words, step {step} of {steps}: loss {total / step:.4f}, {time.perf_counter() - started:.0f} s",
                flush=True,
            )
    torch.save(net.state_dict(), keep)


def windows(stream: Stream, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yields batches (ids, pairs, marks) [BATCH, WINDOW] without end, each pass in another order and damaged anew."""
    for number in itertools.count():
        rng = np.random.default_rng([seed, number])
        for rows, marks in stream.mixed(rng):
            begin = int(rng.integers(0, WINDOW))
            n = (len(rows) - begin) // WINDOW
            span = slice(begin, begin + n * WINDOW)
            arrays = rows, pair_rows(rows, stream.pairs), marks
            ids, pairs, truth = (torch.from_numpy(array[span].reshape(n, WINDOW)) for array in arrays)
            for chosen in torch.from_numpy(rng.permutation(n)).split(BATCH):
                if len(chosen) == BATCH:
                    yield ids[chosen], pairs[chosen], truth[chosen]


def weights_of(net: nn.Module, prefix: str) -> dict[str, NDArray[Any]]:
    """A net's weights for the model file: 16-bit floats; tables of vectors in 8 bits with a scale per row."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in net.state_dict().items():
        value = tensor.cpu().numpy()
        if name in ("embedding.weight", "pairs.weight"):
            table = f"{prefix}.{name.removesuffix('.weight')}"
            scale = np.abs(value).max(1, keepdims=True) / 127 + 1e-8
            arrays[f"{table}.int8"] = np.round(value / scale).astype(np.int8)
            arrays[f"{table}.scale"] = scale.astype(np.float16)
        else:
            arrays[f"{prefix}.{name}"] = value.astype(np.float16)
    return arrays


def save(
    words: Words,
    pauses: Pauses,
    vocabulary: Vocabulary,
    pairs: NDArray[np.int64],
    out: Path,
    function_words: Iterable[str] = FUNCTION_WORDS,
) -> None:
    """Writes the model file: a compressed npz of both nets, the list of words, and steps between the keys of pairs."""
    arrays: dict[str, Any] = {
        **weights_of(words, "words"),
        **weights_of(pauses, "pauses"),
        "vocabulary": np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8),
        "function_words": np.frombuffer("\n".join(sorted(function_words)).encode(), np.uint8),
        "pairs": np.diff(pairs, prepend=0).astype(np.uint32),
    }
    with out.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB", flush=True)


def train(options: argparse.Namespace) -> None:
    """Trains both nets, one after the other, and writes the model file."""
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    lexicon = Lexicon()
    episodes = read_pool(options.text, lexicon, ("text", "pauses"))
    stream_text = [episode for episode in episodes if episode.part == "text"]
    vocabulary = vocabulary_of(stream_text, lexicon)
    stream = Stream(stream_text, lexicon, vocabulary)
    print(f"{len(stream_text)} episodes, {stream.n_words} words, {vocabulary.size} rows", flush=True)
    words = Words(vocabulary.size, 1 + len(stream.pairs), width=options.width, rounds=options.rounds).to(options.device)
    if options.start:
        grow_from(words, options.start)
    for number, (passes, rate) in enumerate(PASSES):
        kept = options.work / f"words-{number}.pt"
        if kept.exists():
            words.load_state_dict(torch.load(kept, map_location=options.device))
        else:
            train_words(words, stream, passes, rate, options.seed + number, kept)
    save(words, Pauses(), vocabulary, stream.pairs, options.out)
    text_model = BoundaryNet(options.out).marks
    pauses = train_pauses([e for e in episodes if e.part == "pauses"], lexicon, text_model, options.seed)
    save(words, pauses, vocabulary, stream.pairs, options.out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("pipeline/text/boundary/model.npz"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=WIDTH, help="channels of the net over words")
    parser.add_argument("--rounds", type=int, default=1, help="times that its convolutions go through all dilations")
    parser.add_argument("--start", type=Path, help="a model file of the same words and no more channels to go on from")
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
