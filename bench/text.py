"""Measures the text steps on real captions: one command, every number with its target.

    python -m bench.text [--samples SAMPLES] [--pool TEXT_FOLDER] [--model MODEL.npz]

Sentences and clips are judged on tracks without case and marks, each twice: with the gaps between words shown and
hidden. Rows are tracks; a mean is over tracks, never pooled,
with the interval that holds 95 % of the means of tracks redrawn. `automatic` are automatic tracks that came punctuated;
`lectures` have a human transcript and recognised word times; `talks`, `calls` and `shows` are the held part of the text
pool (`bench/boundary_text.py`), of which only calls have real word times. No track here was trained on, and no rule or
weight was chosen on one.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.text_tracks import (
    Spoken,
    automatic,
    lecture,
    pair_folders,
    pool_tracks,
)
from pipeline.config.text import ClipConfig, SentenceConfig, TextConfig
from pipeline.text.boundary import BoundaryModel, NetModel
from pipeline.text.boundary.evidence import FUNCTION_WORDS
from pipeline.text.captions import read_track
from pipeline.text.clip_plan import plan_clips
from pipeline.text.clips import plan_track
from pipeline.text.filters import language_of
from pipeline.text.sentences import mark_probabilities, sentence_breaks

Ends = NDArray[np.bool_]
N_DRAWS = 2000
TARGETS = {
    "automatic": "F1 0.74, whole 0.63, inside 0.11, function 0.06 (worst 0.09)",
    "lectures": "F1 0.72, whole 0.55, inside 0.02, function 0.06 (worst 0.09)",
}


class Row(NamedTuple):
    """The measurements on one track, shares from 0 to 1."""

    f1: float
    """F1 of sentence ends, without the last word (it always ends a sentence)."""
    whole: float
    """Share of clips whose two borders are both true sentence ends."""
    inside: float
    """Share of clip borders where the true text has no mark of any kind."""
    function: float
    """Share of the model's ends that are at a function word."""
    people: float
    """The same for the true ends."""
    clip_s: float
    """Mean length of a clip, s."""


def measure(spoken: Spoken, model: BoundaryModel, clips: ClipConfig, *, gaps: bool) -> Row:
    """Measures one model on one track, with or without the gaps between its words."""
    track = spoken.track
    seen = track if gaps else spoken.without_gaps()
    marks = mark_probabilities(seen, SentenceConfig(), model)
    found = sentence_breaks(seen, SentenceConfig(), model, marks.ends)
    planned = plan_clips(track.words, marks, clips)
    lasts = np.array([clip.last - 1 for clip in planned])
    true, inner = spoken.ends, lasts[:-1]
    function = np.array([word.text in FUNCTION_WORDS for word in track.words])
    return Row(
        f1(found, true),
        float(np.mean(np.concatenate([[True], true[inner]]) & true[lasts])),
        float(np.mean(spoken.marks[inner] == 0)) if len(inner) else 0.0,
        float(function[found].mean()),
        float(function[true].mean()),
        float(np.mean([clip.end_ms - clip.start_ms for clip in planned])) / 1000,
    )


def f1(found: Ends, true: Ends) -> float:
    """F1 of boundaries, without the last word (it always ends a sentence)."""
    found, true = found[:-1], true[:-1]
    return float(2 * (found & true).sum() / max(found.sum() + true.sum(), 1))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The interval that contains 95 % of the means of as many values drawn with replacement."""
    drawn = np.random.default_rng(0).choice(np.array(values), (N_DRAWS, len(values))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def report_boundaries(title: str, tracks: Sequence[Spoken], model: BoundaryModel, targets: str) -> None:
    """Prints the table of one group of tracks: a line per track, then means with their intervals."""
    print(f"\n{title}: {len(tracks)} unmarked tracks, model {model.name}; targets of the means: {targets}")
    head = ("F1", "whole", "inside", "function", "people", "clip s")
    print(f"  {'':44}{'words':>7}{'ends':>6}  gaps " + "".join(f"{name:>16}" for name in head))
    for gaps in (True, False) if any(s.track.word_timed for s in tracks) else (False,):
        label = "shown " if gaps else "hidden"
        measured = [measure(spoken, model, ClipConfig(), gaps=gaps) for spoken in tracks]
        for spoken, row in zip(tracks, measured, strict=True):
            cells = "".join(f"{value:>16.3f}" for value in row)
            print(f"  {spoken.name[-44:]:44}{len(spoken.marks):>7}{int(spoken.ends.sum()):>6} {label}{cells}")
        cells = ""
        for column in zip(*measured, strict=True):
            low, high = interval(column)
            cells += f"{f'{np.mean(column):.3f} {low:.2f}-{high:.2f}':>16}"
        print(f"  {'mean':57} {label}{cells}")
        print(f"  {'worst track, function words':57} {label}{'':48}{max(row.function for row in measured):>16.3f}")


def report_speed(files: Sequence[Path]) -> None:
    """Prints the core-seconds for an hour of captions, from file to clips; the best of three."""
    language_of("the language model is loaded once a process")
    print("\nseconds per hour of captions, file to clips (target: 0.3)")
    total_s = total_h = 0.0
    for path in files:
        best = min(_time_once(path) for _ in range(3))
        hours = read_track(path.read_bytes()).words[-1].end_ms / 3.6e6
        total_s, total_h = total_s + best, total_h + hours
        print(f"  {path.name:34}{hours:>7.2f} h{best / hours:>9.3f}")
    print(f"  {'all':34}{total_h:>7.2f} h{total_s / total_h:>9.3f}")


def _time_once(path: Path) -> float:
    started = time.process_time()
    plan_track(read_track(path.read_bytes()), TextConfig(), language="en")
    return time.process_time() - started


def main() -> None:
    """Prints every measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path("../shared/samples"))
    parser.add_argument("--pool", type=Path, help="the text pool: also judge its held talks, calls and shows")
    parser.add_argument("--model", type=Path, default=None)
    options = parser.parse_args()
    captions = options.samples / "captions"
    model = NetModel(options.model) if options.model else NetModel()
    pairs = pair_folders(captions)
    groups: dict[str, Sequence[Spoken]] = {
        "automatic": automatic(captions),
        "lectures": [lecture(folder) for folder in pairs],
    }
    report_boundaries("automatic", groups["automatic"], model, TARGETS["automatic"])
    report_boundaries("lectures", groups["lectures"], model, TARGETS["lectures"])
    if options.pool:
        for name, tracks in held_groups(options.pool).items():
            report_boundaries(name, tracks, model, TARGETS["automatic"])
    english = [p for p in sorted(captions.glob("en_*")) if "fixture" not in p.name and "sparse" not in p.name]
    report_speed([p for p in english if p.stat().st_size > 60_000 and "live" not in p.name])


def held_groups(pool: Path) -> dict[str, list[Spoken]]:
    """The held tracks of the text pool, by kind."""
    groups: dict[str, list[Spoken]] = {"talks": [], "calls": [], "shows": []}
    for spoken in pool_tracks(pool, "held"):
        kind = "talks" if "captions" in spoken.name else "calls" if "earnings" in spoken.name else "shows"
        groups[kind].append(spoken)
    return groups


if __name__ == "__main__":
    main()
