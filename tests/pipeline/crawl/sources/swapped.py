"""Two small films with a sentence each, put in each other's place."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from hdvila_testing.video import Film, a_video
from tests.pipeline.run.small_runs import describe

WIDTHS = 320, 336
"""Of the two films, by which a clip is known: the text says the number of its film."""


def two_films(folder: Path) -> list[Path]:
    """Draws them."""
    return [
        a_video(folder / f"{w}.mp4", Film(seconds=4, fps=Fraction(10), gop=10, width=w, height=180)) for w in WIDTHS
    ]


def lay_out(drawn: Sequence[Path], folder: Path) -> Path:
    """Puts them into a folder, with their captions."""
    for k, film in enumerate(drawn):
        (folder / f"film-{k}.mp4").write_bytes(film.read_bytes())
        describe(folder / f"film-{k}.mp4", k)
    return folder


def cut(out: Path) -> Iterator[tuple[str, int, str]]:
    """(video id, width, text) of every sample."""
    for shard in sorted(out.glob("shards/*/*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    facts = json.load(tar.extractfile(member))  # type: ignore[arg-type]
                    yield facts["video_id"], facts["width"], facts["text"]


def swap(folder: Path, *suffixes: str) -> None:
    """Puts the files of the one film in the place of the other's."""
    for suffix in suffixes:
        one, other = folder / f"film-0{suffix}", folder / f"film-1{suffix}"
        one.rename(folder / "aside")
        other.rename(one)
        (folder / "aside").rename(other)


def same_size(folder: Path) -> None:
    """Both films get the same number of bytes."""
    paths = [folder / f"film-{k}.mp4" for k in range(2)]
    size = max(path.stat().st_size for path in paths) + 8
    for path in paths:
        rest = size - path.stat().st_size
        path.write_bytes(path.read_bytes() + rest.to_bytes(4, "big") + b"free" + bytes(rest - 8))
