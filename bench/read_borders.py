"""Prints borders of clips with the words around them, for somebody to read: right, inside a clause, or wrong?

    python -m bench.read_borders FOLDER [--hide-marks]        caption files, as a run would cut them
    python -m bench.read_borders lectures|calls|talks|shows [--samples SAMPLES] [--pool TEXT_FOLDER]

The groups are those of `bench/text.py`, without marks. Borders are drawn with seed 0, as many of each track.
"""

import argparse
import random
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from bench.text import held_groups
from bench.text_languages import spoken_of
from bench.text_tracks import lecture, pair_folders
from pipeline.config.text import TextConfig
from pipeline.text.captions import Track, read_track
from pipeline.text.clips import plan_track

N_BEFORE = N_AFTER = 14
"""Words that are printed on each side."""


def tracks_of(asked: argparse.Namespace) -> list[Track]:
    """The tracks of a group or of a folder of caption files."""
    if asked.tracks == "lectures":
        return [lecture(folder).track for folder in pair_folders(asked.samples / "captions")]
    if asked.tracks in ("calls", "talks", "shows"):
        return [spoken.track for spoken in held_groups(asked.pool)[asked.tracks]]
    files = sorted(Path(asked.tracks).iterdir())
    if asked.hide_marks:
        return [spoken_of(file).track for file in files]
    return [read_track(file.read_bytes()) for file in files]


def borders(track: Track) -> list[str]:
    """A line for each end of a clip that no filter rejects, but the track's own end."""
    clips, rejects = plan_track(track, TextConfig(), language="en")
    words = [word.text for word in track.words]
    ends = [clip.last for clip, reject in zip(clips, rejects, strict=True) if not reject and clip.last < len(words)]
    return [f"{' '.join(words[max(end - N_BEFORE, 0) : end])} | {' '.join(words[end : end + N_AFTER])}" for end in ends]


def drawn(tracks: Sequence[Track], n: int) -> list[str]:
    """n borders, as many of each track where it has so many."""
    draw = random.Random(0)
    mixed = [draw.sample(found, len(found)) for found in map(borders, tracks)]
    lines = [line for turn in zip_longest(*mixed) for line in turn if line is not None][:n]
    return draw.sample(lines, len(lines))


def main() -> None:
    """Prints a numbered line per border."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracks", metavar="FOLDER|GROUP")
    parser.add_argument("--hide-marks", action="store_true", help="take marks and capitals from the captions first")
    parser.add_argument("--samples", type=Path, default=Path("../shared/samples"))
    parser.add_argument("--pool", type=Path, default=Path("../shared/textpool"))
    parser.add_argument("-n", type=int, default=60)
    asked = parser.parse_args()
    for i, line in enumerate(drawn(tracks_of(asked), asked.n), start=1):
        print(f"{i:3d} {line}")


if __name__ == "__main__":
    main()
