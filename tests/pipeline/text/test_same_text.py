"""What is made of the words of real captions stays what it is from version to version: their times, ends and clips.

A data set that is gone on with must not hold clips of two rules. Where a change is meant, raise the number `made_by` of
the stage (`transcripts` for the alignment, else `clips`), and write the list anew:

    python -m tests.pipeline.text.test_same_text > tests/pipeline/text/same_text.json
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.text import TextConfig
from pipeline.text.align import align_words
from pipeline.text.captions import BrokenTrack, Track, read_track
from pipeline.text.captions.track import Word
from pipeline.text.clips import plan_track
from pipeline.text.flags import flags_of
from pipeline.text.sentences import mark_probabilities, split_sentences
from pipeline.text.transcripts import signature, track_language
from tests.conftest import samples_folder

LIST = Path(__file__).with_name("same_text.json")
MADE_BY = (
    *("pipeline.text.boundary.features", "pipeline.text.boundary.evidence", "pipeline.text.boundary.net"),
    *("pipeline.text.boundary.marks", "pipeline.text.clip_plan", "pipeline.text.filters"),
)
"""Where else to look for what changed."""


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def tracks(folder: Path) -> dict[str, Track]:
    found = {}
    for file in sorted(path for path in (folder / "captions").iterdir() if path.is_file() and path.suffix != ".tsv"):
        try:
            found[file.name] = read_track(file.read_bytes())
        except BrokenTrack:
            continue
    return found


def made_of(track: Track) -> dict[str, Any]:
    """Sentence ends as sums, which hardly depend on a processor's rounding; the rest as digests."""
    config = TextConfig()
    marks = mark_probabilities(track, config.sentences)
    weights = np.arange(1, len(track.words) + 1) / len(track.words)
    clips, reasons = plan_track(track, config, language="en", marks=marks)
    sentences = split_sentences(track, config.sentences)
    return {
        "ends": [float(column.sum()) for column in (marks.ends, marks.inner)],
        "where": [float((column * weights).sum()) for column in (marks.ends, marks.inner)],
        "sentences": digest([(s.first, s.last, s.start_ms, s.end_ms) for s in sentences]),
        "clips": digest([(clip.first, clip.last, clip.start_ms, clip.end_ms) for clip in clips]),
        "rejects": digest([(str(reason[0]), reason[1]) if reason else None for reason in reasons]),
        "flags": digest([flags_of(clip.text) for clip in clips]),
        "language": track_language(track.words),
        "signature": hashlib.sha256(signature([word.text for word in track.words])).hexdigest()[:16],
    }


def aligned(written: Sequence[Word], stamped: Sequence[Word]) -> str:
    found = align_words([word.text for word in written], stamped)
    times = [(word.start_ms, word.end_ms, word.timed) for word in found.words]
    return digest([times, found.anchored, round(found.confidence, 6)])


def everything(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {name: made_of(track) for name, track in tracks(folder).items()}
    for pair in sorted(path for path in (folder / "captions" / "pairs").iterdir() if path.is_dir()):
        written = read_track((pair / "captions.srt").read_bytes()).words
        stamps = json.loads((pair / "word_timings.json").read_text())
        timed = [Word(word.strip(), round(1000 * a), round(1000 * b), True) for word, a, b in stamps]
        found[f"pairs/{pair.name}"] = [aligned(written, timed), aligned(timed, written)]
    return found


def test_real_speech_becomes_the_same_clips_as_before(samples: Path) -> None:
    before, now = json.loads(LIST.read_text()), everything(samples)

    assert now.keys() >= before.keys()
    for name in before:
        found = now[name]
        if isinstance(found, list):
            assert found == before[name], (name, MADE_BY)
            continue
        for part in ("ends", "where"):
            assert found.pop(part) == pytest.approx(before[name].pop(part), rel=1e-3, abs=1e-3), (name, part)
        assert found == before[name], (name, MADE_BY)


def test_clips_of_real_tracks_with_marks_are_as_long_as_asked(samples: Path) -> None:
    config, means = TextConfig(), {}
    for name, track in tracks(samples).items():
        clips, _ = plan_track(track, config, language=track.language)
        if track.punctuated and len(clips) > 20:
            means[name] = np.mean([clip.end_ms - clip.start_ms for clip in clips]) / 1000

    assert len(means) >= 10
    assert means == pytest.approx(dict.fromkeys(means, config.clips.target_s), rel=0.1)


if __name__ == "__main__":
    print(json.dumps(everything(samples_folder()), indent=0))
