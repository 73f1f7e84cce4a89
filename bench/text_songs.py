"""How many songs the rule for songs finds, and how much speech it costs, on captions of your own.

    python -m bench.text_songs SONGS SPEECH

Each is a folder of caption files (any format, searched with its subfolders). Prints, for some bounds, the share of
tracks that are rejected as songs, the clips that pass for all that, and the speech with the largest shares.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.config.text import TextConfig
from pipeline.text.captions import BrokenTrack, Track, read_track
from pipeline.text.clips import plan_track
from pipeline.text.filters import repeats

BOUNDS = (0.1, 0.15, 0.2, 0.3)
MIN_WORDS = 20


class Measured(NamedTuple):
    """What is measured on one track."""

    share: float
    """Of its 5-grams that recur."""
    name: str
    n_clips: int
    n_kept: int
    """Clips that pass the filters of clips."""


def tracks(folder: Path) -> Iterator[tuple[str, Track]]:
    """Yields the tracks of a folder that can be read and have MIN_WORDS."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            track = read_track(path.read_bytes())
        except BrokenTrack:
            continue
        if len(track.words) >= MIN_WORDS:
            yield path.name, track


def measured(folder: Path) -> list[Measured]:
    """Measures the tracks of a folder, those that repeat most first."""
    config = TextConfig.model_validate({"transcript": {"check_language": False}, "sentences": {"model": "pause"}})
    found = []
    for name, track in tracks(folder):
        _, reasons = plan_track(track, config, language="")
        found.append(Measured(repeats(track.words), name, len(reasons), reasons.count(None)))
    return sorted(found, reverse=True)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("speech", type=Path)
    options = parser.parse_args()
    for title, rows in (("songs", measured(options.songs)), ("speech", measured(options.speech))):
        print(f"{title}: {len(rows)} tracks, {sum(r.n_clips for r in rows)} clips; {sum(r.n_kept for r in rows)} pass")
        for bound in BOUNDS:
            left = [row for row in rows if row.share <= bound]
            print(f"  over {bound}: {len(rows) - len(left)} tracks; then {sum(r.n_kept for r in left)} clips pass")
    for row in rows[:5]:
        print(f"  {row.share:.3f} {row.name}")


if __name__ == "__main__":
    main()
