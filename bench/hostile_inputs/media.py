"""Media files that are damaged, have false headers, or are no media at all but name other files and URLs."""

# ruff: noqa: E501 - a table of texts reads better in long lines

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.hostile_inputs import Case, Home, NeighbourLost, mutated
from bench.hostile_inputs.captions import GOOD
from hdvila_testing.rows import commit_rows
from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaConfig
from pipeline.config.sources import FolderConfig
from pipeline.crawl.sources.folder import FolderStage
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import per_item
from pipeline.engine.work.unit import Context, Reject
from pipeline.media.cutting import CutClip, Span, cut_clips
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import probe

CONFIG = MediaConfig(cut=CutConfig(min_short_side=0, require_audio=False))


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` files: scripts and playlists posing as films, then real films with random damage."""
    scripts = _scripts(home)
    posing = [(f"{text[:20]!r} as {suffix}", text.encode(), suffix) for text in scripts for suffix in _SUFFIXES]
    for name, data, suffix in posing[: n // 3]:
        yield Case("media", name, lambda folder, d=data, s=suffix: _try(d, s, folder, home))  # type: ignore[misc]
    real = [p for p in sorted((home.samples / "videos").iterdir()) if p.suffix != ".tsv" and p.stat().st_size < 700_000]
    real += sorted(home.films.iterdir())
    for number in range(n - min(len(posing), n // 3)):
        chance = random.Random(f"{seed} media {number}")
        path = chance.choice(real)
        data = _damaged(path.read_bytes(), chance)
        name = f"{path.name} damaged, {number}"
        yield Case("media", name, lambda folder, d=data, s=path.suffix: _try(d, s, folder, home))  # type: ignore[misc]


_SMALL: dict[str, Any] = {"seconds": 2, "width": 320, "height": 180, "gop": 25}
_KEYS = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
_COPY, _MPEG2 = ("-c", "copy"), ("-c:v", "mpeg2video", "-c:a", "mp2")
_VP9 = ("-an", "-c:v", "libvpx-vp9", "-lag-in-frames", "25", "-auto-alt-ref", "1", "-b:v", "100k", "-cpu-used", "8")
_ODD = {
    "odd_edited.mp4": (*_COPY, "-ss", "0.6"),
    "odd_encrypted.mp4": (*_COPY, "-encryption_scheme", "cenc-aes-ctr", *_KEYS),
    "odd_b_frames.avi": ("-c:v", "copy", "-an"),
    "odd_hidden.webm": _VP9,
    "odd.mpg": _MPEG2,
    "odd.mxf": (*_MPEG2[:2], "-c:a", "pcm_s16le"),
    "odd.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "odd.ogg": ("-vn", "-c:a", "libopus"),
}
"""How the ffmpeg program makes films that are hidden in part, encrypted, or in containers that aren't served."""


def make_odd(folder: Path) -> None:
    """Makes films that begin at 10 h, are two that were joined, or are of _ODD."""
    a_video(folder / "odd_late.mkv", start_s=36_000, **_SMALL)
    recording = a_video(folder / "odd_joined.ts", **_SMALL)
    recording.write_bytes(recording.read_bytes() * 2)
    film = a_video(folder / "odd.mp4", **_SMALL)
    for name, words in _ODD.items():
        subprocess.run([find_ffmpeg(), "-v", "error", "-y", "-i", film, *words, folder / name], check=True)


_SUFFIXES = (".mp4", ".mkv", ".webm", ".m3u8", ".ts", ".avi", ".flv", ".concat", "")


def _scripts(home: Home) -> list[str]:
    secret = home.trap / "secret.mp4"
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
    return [
        hls.format(home.trap_url),
        hls.format(secret),
        hls.format(f"file://{secret}"),
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"ffconcat version 1.0\nfile '{home.trap_url}'\n",
        f"concat:{secret}|{secret}",
        f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{home.trap_url}\n",
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{home.trap_url}</BaseURL></Period></MPD>',
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=control:{home.trap_url}\n",
        f"[playlist]\nFile1={home.trap_url}\nNumberOfEntries=1\n",
        f"RIFF....AVI LIST{secret}",
        f"<smil><body><video src='{home.trap_url}'/></body></smil>",
        f"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom\x00\x00\x00\x40moov\x00\x00\x00\x38dref{secret}",
        "%!PS-Adobe\n(" + str(secret) + ") run",
        f"[Script Info]\nTitle: x\n[Events]\nDialogue: {secret}",
    ]


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """Damages bytes at random, or the numbers in a box that the file's structure depends on."""
    boxes = [b"moov", b"mvhd", b"tkhd", b"mdhd", b"stsd", b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"elst", b"avc1"]
    boxes += [
        b"\x1a\x45\xdf\xa3",
        b"\x15\x49\xa9\x66",
        b"\x16\x54\xae\x6b",
        b"hdrl",
        b"strh",
        b"avcC",
        b"encv",
        b"tenc",
    ]
    boxes += [b"senc", b"hvcC", b"dref"]
    there = [at for box in boxes if (at := data.find(box)) >= 0]
    if not there or chance.random() < 0.4:
        return mutated(data, chance)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(there) + chance.randint(-4, 60)
        for place in range(max(0, at), min(len(changed), at + chance.choice((1, 2, 4)))):
            changed[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(changed)


def _try(data: bytes, suffix: str, folder: Path, home: Home) -> str:
    """Puts the file beside a good film through the folder source and, if it opens, through the cut."""
    films = folder / "films"
    films.mkdir()
    shutil.copy(home.films / "film.mp4", films / "good.mp4")
    (films / "good.en.vtt").write_bytes(GOOD)
    bad = films / f"bad{suffix}"
    bad.write_bytes(data)
    (films / "bad.en.vtt").write_bytes(GOOD)
    reasons, videos, context = run_folder_stage(films, folder)
    if "good" not in videos:
        raise NeighbourLost(str(reasons))
    if "bad" not in videos:
        return next((why for name, why in reasons.items() if name != "good"), "passed over")
    cut = per_item(context, "bad", lambda: _cut(bad))
    return f"{cut.reason.value}: {cut.detail}" if isinstance(cut, Reject) else cut


def run_folder_stage(films: Path, folder: Path) -> tuple[dict[str, str], set[str], Context]:
    """({video id: why it was rejected}, ids that became candidates, the context) for a folder of films."""
    store = Store(str(folder / "out"))
    (folder / "scratch" / "unit").mkdir(parents=True)
    context = Context(store, folder / "scratch" / "unit", time.monotonic() + 60)
    reasons: dict[str, str] = {}
    videos: set[str] = set()
    stage = FolderStage(FolderConfig(path=films), CONFIG)
    for unit in stage.units(store):
        output = stage.process(unit, context)
        videos |= {row["video_id"] for row in output.rows["videos"]}
        reasons |= {r.video_id: f"{r.reason.value}: {r.detail}" for r in output.rejects}
        commit_rows(store, "folder", unit.name, output.rows)
    return reasons, videos, context


def _cut(path: Path) -> str:
    found = probe(path, CONFIG.limits)
    spans = [Span(0, 100, 900), Span(1, 900, 1700), Span(2, found.duration_ms - 500, found.duration_ms)]
    modes = (CONFIG.cut, CONFIG.cut.model_copy(update={"mode": "exact"}))
    clips = [clip for mode in modes for clip in cut_clips(found, spans, mode, CONFIG.limits)]
    made = sum(isinstance(clip, CutClip) for clip in clips)
    return f"{made} clips" if made else Reason.NO_CLIPS.value
