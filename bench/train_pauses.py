"""The second half of `bench/train_boundary.py`: the small net that joins what the words say with a track's pauses.

Its text is new to the text model, so that it learns how far that model can be trusted. Earnings calls come with their
real word times; for the rest pauses are simulated, with a rate, a habit of pausing and a grid of stamps drawn per piece
of text, so that the net meets quick and slow speakers, tracks whose gaps mislead, and tracks without word times.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.boundary_text import UNKNOWN_MS, Episode, Lexicon
from pipeline.text.boundary.evidence import COMMA, END, FUNCTION_WORDS, N_EVIDENCE, ODDS_SCALE, evidence
from pipeline.text.boundary.features import UNKNOWN
from pipeline.text.captions.pace import LETTER_STEPS, TYPICAL_MS

SCRIPTED = 1.1
"""Pieces whose pauses at ends have at least this median of x are read from a script: longer sentences, a pause at most
commas, few hesitations, and text so unlike a podcast's that a share of its words is hidden: pauses must decide.
"""
CONJUNCTIONS = ("and", "but", "so", "because", "or", "which", "then")
_PHRASE_STARTS = "that if when where while as with for in on at to is"
PHRASE_STARTS = frozenset([*CONJUNCTIONS, *_PHRASE_STARTS.split()])
"""Words before which speakers pause inside a sentence: most hesitations are before these, or after FUNCTION_WORDS."""
CHUNK, BATCH = 256, 32

TextModel = Callable[[list[str], NDArray[np.bool_]], NDArray[np.float32]]
"""From normalised words and changes of speaker to the text model's log probabilities of marks [n, N_MARKS]."""


class Piece(NamedTuple):
    """A stretch of an episode as a track, [n] each: words, the mark after each, whether another speaker follows it,
    its start in ms and whether the gap after it is known."""

    words: list[str]
    marks: NDArray[np.uint8]
    turns: NDArray[np.bool_]
    starts_ms: NDArray[np.int64]
    known: NDArray[np.bool_]
    hidden: float
    """Share of the words that are hidden from the text model."""


def pieces(episode: Episode, words: Sequence[str], rng: np.random.Generator) -> Iterator[Piece]:
    """Cuts the episode into tracks of 400 to 8000 words, with real times if it has them, else simulated ones."""
    begin = 0
    while begin < len(episode.ids) - 50:
        end = min(begin + int(np.exp(rng.uniform(np.log(400), np.log(8000)))), len(episode.ids))
        span = slice(begin, end)
        said = [words[i] for i in episode.ids[span]]
        marks, turns = episode.marks[span].copy(), episode.turns[span]
        if (episode.starts_ms[span] != UNKNOWN_MS).mean() > 0.5:
            yield _real(said, marks, turns, episode.starts_ms[span])
        else:
            yield _simulated(said, marks, turns, rng)
        begin = end


def _real(words: list[str], marks: NDArray[np.uint8], turns: NDArray[np.bool_], starts: NDArray[np.int32]) -> Piece:
    stamped = starts != UNKNOWN_MS
    filled = np.maximum.accumulate(np.where(stamped, starts, 0)).astype(np.int64)
    known = stamped & np.append(stamped[1:], False)
    return Piece(words, marks, turns, filled, known, 0.0)


def _simulated(words: list[str], marks: NDArray[np.uint8], turns: NDArray[np.bool_], rng: np.random.Generator) -> Piece:
    end = rng.uniform(0.0, 1.1) if rng.random() < 0.6 else rng.uniform(1.1, 1.75)
    scripted = end > SCRIPTED
    if scripted:
        joins = np.array([word in CONJUNCTIONS for word in [*words[1:], ""]]) & (marks == END) & ~turns
        marks = np.where(joins & (rng.random(len(words)) < rng.uniform(0.5, 0.95)), COMMA, marks).astype(np.uint8)
    known = np.full(len(words), rng.random() > 0.15)
    starts = simulate_starts(words, marks, turns, end, rng)
    return Piece(words, marks, turns, starts, known, float(rng.uniform(0.0, 0.6)) if scripted else 0.0)


def simulate_starts(
    words: Sequence[str],
    marks: NDArray[np.uint8],
    turns: NDArray[np.bool_],
    end: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Start times: each word's typical length times exp(x), x drawn by the mark that follows.

    On stamped tracks x at sentence ends has a median of 0.4 (quick talk) to 1.5 (read from a script) and is seldom
    below 0; elsewhere its 90th percentile is 0.5 to 0.7 and its 99th 1.1 to 1.4 (hesitations). The ranges below cover
    that. `end` is the median at ends; the speaker's rate and the recogniser's grid are random too.
    """
    n = len(words)
    letters = np.fromiter((len(word) for word in words), np.float64, n)
    if end > SCRIPTED:
        spread, slow, comma, chance = rng.uniform((0.22, 0.03, 0.4, 0.5), (0.35, 0.08, 0.8, 0.95))
    else:
        spread, slow, comma, chance = rng.uniform((0.2, 0.03, 0.2, 0.3), (0.5, 0.25, 0.8, 0.8))
        comma = min(comma, end + 0.1)
    before = np.array([word in PHRASE_STARTS for word in [*words[1:], ""]])
    after = np.array([word in FUNCTION_WORDS for word in words])
    chance_of = np.where(before, 3.0, 0.6) + np.where(after, rng.uniform(0.0, 3.0), 0.0)
    hesitates = rng.random(n) < slow * chance_of
    x = rng.normal(0, spread, n) + np.where(hesitates, np.abs(rng.normal(rng.uniform(0.6, 1.1), 0.4, n)), 0)
    x = np.where((marks == COMMA) & (rng.random(n) < chance), rng.normal(comma, 0.3, n), x)
    x = np.where(marks >= END, np.maximum(rng.normal(end, 0.42, n), rng.normal(0, 0.12, n)), x)
    x = np.where(turns & (rng.random(n) < 0.3), x - 0.4, x)
    gaps = np.maximum(np.interp(letters, LETTER_STEPS, TYPICAL_MS) * rng.uniform(0.7, 1.25) * np.exp(x), 20)
    starts = np.concatenate([[0], np.cumsum(gaps)[:-1]])
    grid = float(rng.choice([1, 20, 80]))
    return np.asarray(np.round(starts / grid) * grid, np.int64)


class Pauses(nn.Module):
    """Two convolutions over the evidence; their output is added to the text's log odds."""

    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        self.first = nn.Conv1d(N_EVIDENCE, hidden, 5, padding=2)
        self.second = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: torch.Tensor) -> Any:
        """x [b, n, N_EVIDENCE] -> log odds of a sentence end [b, n]."""
        y = torch.relu(self.first(x.transpose(1, 2)))
        y = torch.relu(self.second(y)).transpose(1, 2)
        return ODDS_SCALE * x[..., 0] + self.out(y).squeeze(2)


def examples(
    episodes: Sequence[Episode], lexicon: Lexicon, text_model: TextModel, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Yields (evidence [m, CHUNK, N_EVIDENCE], truth [m, CHUNK], -1 = not counted) for all episodes once."""
    words = lexicon.words
    xs, ys = [], []
    for episode in episodes:
        for piece in pieces(episode, words, rng):
            hides = rng.random(len(piece.words)) < piece.hidden
            shown = [UNKNOWN if hide else word for word, hide in zip(piece.words, hides, strict=True)]
            turns = piece.turns & (rng.random() < 0.25)
            x = evidence(text_model(shown, turns), piece.words, piece.starts_ms, piece.known, turns, FUNCTION_WORDS)
            y = (piece.marks >= END).astype(np.float32)
            pad = -len(y) % CHUNK
            xs.append(np.pad(x, ((0, pad), (0, 0))).reshape(-1, CHUNK, N_EVIDENCE))
            ys.append(np.pad(y, (0, pad), constant_values=-1).reshape(-1, CHUNK))
    return np.concatenate(xs), np.concatenate(ys)


def train_pauses(
    episodes: Sequence[Episode],
    lexicon: Lexicon,
    text_model: TextModel,
    seed: int,
    rounds: int = 2,
    epochs: int = 3,
) -> Pauses:
    """The net trained on `rounds` different readings of the episodes, each passed `epochs` times."""
    torch.manual_seed(seed)
    net = Pauses()
    made = [examples(episodes, lexicon, text_model, np.random.default_rng([seed, 7, k])) for k in range(rounds)]
    x = torch.from_numpy(np.concatenate([a for a, _ in made]))
    y = torch.from_numpy(np.concatenate([b for _, b in made]))
    steps = epochs * -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.2)
    for epoch in range(epochs):
        total = 0.0
        batches = torch.randperm(len(x)).split(BATCH)
        for chosen in batches:
            truth = y[chosen]
            counted = (truth >= 0).float()
            lost = nn.functional.binary_cross_entropy_with_logits(net(x[chosen]), truth.clamp(min=0), reduction="none")
            loss = (lost * counted).sum() / counted.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"pauses, epoch {epoch}: loss {total / len(batches):.4f}", flush=True)
    return net
