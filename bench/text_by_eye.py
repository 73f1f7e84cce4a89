"""Judges clip ends by eye, blind: makes a sheet to read, and scores the borders marked as wrong.

    python -m bench.text_by_eye sheet FOLDER --pool TEXT_FOLDER [--samples SAMPLES] [--seed 0]
    python -m bench.text_by_eye score FOLDER

`sheet` writes FOLDER/sheet.txt, one border per line with the words around it, and FOLDER/key.tsv, which only `score`
reads. Half of the lines are borders between clips that the pipeline planned on automatic tracks without marks, 60 in
each of TRACKS; the others are where people ended a sentence, drawn from the held captions of talks. All are shown in
lower case, without marks, in one random order. The judge writes the numbers of the borders at which nobody would end a
sentence into FOLDER/wrong.txt. If more than MAX_PEOPLE of people's borders are among them, the judge does not count.
"""

import argparse
import csv
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.text_tracks import MARKS, automatic, pool_tracks
from pipeline.config.text import TextConfig
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions import Track, read_track
from pipeline.text.clip_plan import plan_clips
from pipeline.text.clips import plan_track

PER_TRACK = 60
BEFORE, AFTER = 16, 12
"""Words shown on each side of a border."""
MAX_PEOPLE = 0.05
PEOPLE = "people"
TRACKS = (
    ("en_auto_overlap.srt",),
    ("en_auto_rolling_unpunct.vtt",),
    ("en_auto_cue_comma.vtt",),
    ("en_auto_punct_speakers.json3",),
    ("en_auto_punct_a.vtt",),
    ("en_auto.srv3", "en_auto_rolling_short.vtt", "en_auto_blank_first.vtt", "en_auto_2018_colour.vtt"),
)
"""Six tracks; the last is four short ones that don't have 60 borders each. The model does not see a track's marks."""


class Border(NamedTuple):
    """A place where a clip ends: its track, the first word after it, and the line of the sheet."""

    track: str
    at: int
    line: str


def borders(name: str, texts: Sequence[str], places: Sequence[int]) -> Iterator[Border]:
    """Yields the borders before the words at these places, with the words around them."""
    plain = [text.lower().strip(MARKS) for text in texts]
    for at in places:
        before = " ".join(word for word in plain[max(at - BEFORE, 0) : at] if word)
        after = " ".join(word for word in plain[at : at + AFTER] if word)
        yield Border(name, at, f"{before} | {after}")


def planned(samples: Path) -> list[list[Border]]:
    """For each of TRACKS, every border between two clips that the pipeline plans."""
    hidden = {spoken.name: spoken.track for spoken in automatic(samples / "captions")}
    return [[border for name in names for border in _of_track(name, hidden, samples)] for names in TRACKS]


def _of_track(name: str, hidden: dict[str, Track], samples: Path) -> Iterator[Border]:
    track = hidden.get(name) or read_track((samples / "captions" / name).read_bytes())
    clips, _ = plan_track(track, TextConfig(), language="en")
    return borders(name, [word.text for word in track.words], [clip.first for clip in clips[1:]])


def by_people(pool: Path) -> list[Border]:
    """Every border between two clips planned by the marks that people set in the held talks, each once."""
    found: dict[str, Border] = {}
    for spoken in pool_tracks(pool, "held"):
        if "captions" not in spoken.name:
            continue
        clips = plan_clips(spoken.track.words, Marks.of_ends(spoken.ends.astype(np.float32)), TextConfig().clips)
        places = [clip.first for clip in clips[1:] if spoken.ends[clip.first - 1]]
        for border in borders(PEOPLE, [word.text for word in spoken.track.words], places):
            found.setdefault(border.line, border)
    return list(found.values())


def write_sheet(folder: Path, model: Sequence[Sequence[Border]], people: Sequence[Border], seed: int) -> None:
    """Writes sheet.txt and key.tsv: PER_TRACK borders of each track, and as many of people's, mixed."""
    rng = random.Random(seed)
    drawn = [rng.sample(list(found), min(PER_TRACK, len(found))) for found in model]
    names = ["+".join(dict.fromkeys(border.track for border in found)) for found in drawn]
    own = [border._replace(track=name) for name, found in zip(names, drawn, strict=True) for border in found]
    mixed = own + rng.sample(list(people), min(len(own), len(people)))
    rng.shuffle(mixed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{number} {border.line}" for number, border in enumerate(mixed, start=1)]
    (folder / "sheet.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "key.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows((n, b.track, b.at) for n, b in enumerate(mixed, start=1))
    print(f"{folder}: {len(own)} borders of clips and {len(mixed) - len(own)} of people; write wrong.txt, then score")


def score(folder: Path) -> bool:
    """Prints the share marked wrong for each track, all, and people's borders; returns whether the judge counts."""
    wrong = set((folder / "wrong.txt").read_text(encoding="utf-8").split())
    with (folder / "key.tsv").open(encoding="utf-8", newline="") as file:
        rows = [(row[0] in wrong, row[1]) for row in csv.reader(file, delimiter="\t")]
    for name in sorted({name for _, name in rows if name != PEOPLE}):
        _print_share(name, [bad for bad, track in rows if track == name])
    _print_share("all tracks", [bad for bad, track in rows if track != PEOPLE])
    people = _print_share("borders that people set", [bad for bad, track in rows if track == PEOPLE])
    counts = people <= MAX_PEOPLE
    print(f"the judge {'counts' if counts else 'is not counted'} (people's: at most {MAX_PEOPLE:.0%})")
    return counts


def _print_share(name: str, wrong: Sequence[bool]) -> float:
    share = sum(wrong) / max(len(wrong), 1)
    print(f"  {name[:72]:72} {sum(wrong):>4} of {len(wrong):<4} {share:>6.1%}")
    return share


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("sheet", "score"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--samples", type=Path, default=Path("../shared/samples"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.step == "score":
        score(options.folder)
        return
    if options.pool is None:
        parser.error("sheet needs --pool, the folder with the text that people marked")
    write_sheet(options.folder, planned(options.samples), by_people(options.pool), options.seed)


if __name__ == "__main__":
    main()
