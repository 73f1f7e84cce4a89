"""How often filters and flags catch ordinary speech: the part of `bench/text.py` about `filters.py` and `flags.py`."""

from collections import Counter
from pathlib import Path

import numpy as np

from bench.boundary_text import pool_turns
from bench.text_tracks import marks_of
from pipeline.config.text import TextConfig
from pipeline.text.boundary.evidence import END, Marks
from pipeline.text.captions import Track, Word
from pipeline.text.captions.pace import typical_ms
from pipeline.text.captions.words import in_time_order
from pipeline.text.clips import plan_track
from pipeline.text.flags import flags_of

PACE = 1.3
"""All words get their typical lengths times this: three words a second."""


def report_filters(pool: Path) -> None:
    """Prints, for all clips of the pool's held episodes (by their own marks), how many each filter and flag catches."""
    caught: Counter[str] = Counter()
    samples: dict[str, str] = {}
    n_clips = 0
    for _, _, turns in pool_turns(pool, ("held",)):
        words: list[Word] = []
        ends: list[bool] = []
        now = 0.0
        for turn in turns:
            for text, _, _ in turn:
                length = PACE * typical_ms(len(text))
                words.append(Word(text, round(now), round(now + length), True))
                now += length
            marks = marks_of([text for text, _, _ in turn])
            ends += [mark >= END for mark in marks[:-1]] + [True] * bool(marks)
        track = Track(tuple(in_time_order(words)), (), "json3", "auto", "en", True, True)
        clips, away = plan_track(track, TextConfig(), language="en", marks=Marks.of_ends(np.array(ends, np.float32)))
        n_clips += len(clips)
        for clip, reason in zip(clips, away, strict=True):
            names = [f"flag {flag}" for flag in flags_of(clip.text)]
            if reason:
                names = [f"{reason[0].value} ({reason[1].lstrip('0123456789. ')})"]
            for name in names:
                caught[name] += 1
                samples.setdefault(name, f"{reason[1] if reason else ''} {clip.text}"[:100])
    print(f"\nfilters and flags on {n_clips} clips of held speech (target of a filter: at most 1 in 2,000)")
    for name, times in caught.most_common():
        print(f"  {name[:50]:50}{times:>6}  1 in {n_clips / times:>7.0f}  {samples[name]}")
