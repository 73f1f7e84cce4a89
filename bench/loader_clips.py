"""Data sets for bench/loader.py: films cut by the pipeline with its default members, as users have them."""

import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from hdvila_testing.drawn_set import Sample, write_manifest, write_shard
from hdvila_testing.rows import a_clip_row, a_video_row
from hdvila_testing.video import a_video
from manifests.sample import clip_id
from pipeline.config.media import ChecksConfig, MediaConfig
from pipeline.media.probe import probe
from pipeline.media.stage import packed
from pipeline.media.video import make_video

BETWEEN_MS = 2_000
"""Left out of a film between two clips."""
GOP = 250
MEDIA = MediaConfig(checks=ChecksConfig(silence="ignore"))


def drawn_film(path: Path, n_clips: int, fps: int, clip_ms: int) -> Path:
    """Draws a 720p film of drifting textures, a keyframe every 250 frames, long enough for `n_clips` clips."""
    return a_video(path, seconds=n_clips * (clip_ms + BETWEEN_MS) / 1000, fps=Fraction(fps), gop=GOP)


def cut_films(films: Sequence[Path], out: Path, clip_ms: int) -> Path:
    """Makes a data set of clips of `clip_ms`, 2 s apart in each film (a shorter film is one clip); its manifest."""
    samples = [sample for n, film in enumerate(films) for sample in samples_of(film, f"film{n}", clip_ms)]
    if not samples:
        raise SystemExit(f"the pipeline makes no clip of {', '.join(film.name for film in films)}")
    return write_manifest(out, [write_shard(out / "shards/train/00000.tar", samples, "train", out)])


def samples_of(film: Path, video_id: str, clip_ms: int) -> Iterator[Sample]:
    """The samples that the media stage makes of a film."""
    duration_ms = probe(film).duration_ms
    starts = range(0, max(1, duration_ms - clip_ms + 1), clip_ms + BETWEEN_MS)
    clips = [a_clip_row(video_id, n, at, min(at + clip_ms, duration_ms)) for n, at in enumerate(starts)]
    with tempfile.TemporaryDirectory() as folder:
        (scratch := Path(folder) / "members").mkdir()
        video = a_video_row(video_id)
        output = packed(video, make_video(film, video, clips, MEDIA, scratch), Path(folder) / "pack.tar")
        for reject in output.rejects:
            print(f"{film.name}, {reject.clip_id or clip_id(video_id, 0)}: {reject.reason} {reject.detail}")
        for pack in output.files.values():
            yield from _samples_in(pack)


def _samples_in(pack: Path) -> Iterator[Sample]:
    members: dict[str, dict[str, bytes]] = {}
    with tarfile.open(pack) as tar:
        for entry in tar:
            key, _, extension = entry.name.partition(".")
            file = tar.extractfile(entry)
            assert file is not None
            members.setdefault(key, {})[extension] = file.read()
    yield from (Sample(key, found) for key, found in members.items())
