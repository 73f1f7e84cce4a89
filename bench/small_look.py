"""What would be saved and lost if scenes, hashes, checks and proxies came from a film's rendition of 360 lines?

    python -m bench.small_look FILM … [--copies 6] [--damaged 30]

Each film is scaled to 360 lines (x264, crf 26, 500 kbit/s at most). By film: CPU seconds an hour of today's
pass; and of one over the small film, with the cut and the listening of the large one and with stills of its keyframes;
bytes; cuts found in both. Then copies (bench/duplicates.py) that are found by large pictures, by small ones and by one
of each; and which of some damaged films are found to be so.
"""

import argparse
import random
import subprocess
import tempfile
import time
from pathlib import Path

import av

from bench.duplicates import COPIES, LINES, hashes_of, is_same, make_copy
from hdvila_testing.rows import a_clip_row, a_video_row
from pipeline.config.media import MediaConfig
from pipeline.likeness.same import LIKENESS
from pipeline.media.cut_files import ONLY_CLIPS, media_config
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import Starved, Unusable, probe
from pipeline.media.video import MadeVideo, make_video

RATE = ["-crf", "26", "-maxrate", "500k", "-bufsize", "1000k"]
ENCODED = ["-c:v", "libx264", *RATE, "-pix_fmt", "yuv420p", "-c:a", "copy"]
NEAR_MS = 200
CLIPS_ALONE = [line for line in ONLY_CLIPS if "borders" not in line]


def main() -> None:
    """Prints everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="*")
    parser.add_argument("--copies", type=int, default=6, help="seconds of each film that are copied; 0 for none")
    parser.add_argument("--damaged", type=int, default=30, help="damaged copies of the first film")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made(arguments.films[0], MediaConfig(), folder)  # imports what is needed
        for film in arguments.films:
            side_by_side(film, folder)
        if arguments.copies:
            copies(arguments.films, arguments.copies, folder)
        if arguments.damaged:
            damage(arguments.films[0], arguments.damaged, folder)


def scaled(film: Path, small: Path) -> Path:
    """The film with 360 lines, each frame at its time."""
    command = [find_ffmpeg(), "-v", "error", "-y", "-i", str(film), "-map", "0:v:0", "-map", "0:a:0?", "-vf", LINES]
    subprocess.run([*command, "-fps_mode", "passthrough", *ENCODED, str(small)], check=True)
    return small


def made(path: Path, config: MediaConfig, folder: Path) -> tuple[MadeVideo, float]:
    """What the media stage makes of clips of 10 s with 2 s between them, and its CPU seconds."""
    duration_ms = probe(path).duration_ms
    rows = [
        a_clip_row("v", n, at, min(at + 10_000, duration_ms))
        for n, at in enumerate(range(0, duration_ms - 1000, 12_000))
    ]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        began = time.process_time()
        video = make_video(path, a_video_row("v"), rows, config, Path(scratch))
        return video, time.process_time() - began


def keyframes_cpu_s(path: Path) -> float:
    """CPU seconds of decoding the keyframes alone. Raises av.FFmpegError where one is damaged."""
    began = time.process_time()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        stream.codec_context.skip_frame = "NONKEY"
        for _ in container.decode(stream):
            pass
    return time.process_time() - began


def side_by_side(film: Path, folder: Path) -> None:
    """One film's costs, bytes and cuts."""
    small = scaled(film, folder / f"small-{film.stem}.mp4")
    hours = probe(film).duration_ms / 3_600_000
    whole, now_s = made(film, MediaConfig(), folder)
    _, cut_s = made(film, media_config(None, CLIPS_ALONE), folder)
    seen, small_s = made(
        small,
        media_config(None, ["media.cut.min_short_side=0", "media.cut.borders=planned", "media.members.stills=false"]),
        folder,
    )
    small_s -= seen.stopwatch.seconds.get("cut", 0.0)
    stills_s = keyframes_cpu_s(film) + whole.stopwatch.seconds.get("stills", 0.0)
    total_s = cut_s + small_s + stills_s
    steps = f"cut and listened {cut_s / hours:.0f}, small {small_s / hours:.0f}, keyframes {stills_s / hours:.0f}"
    print(
        f"{film.name}: CPU s an hour {now_s / hours:.0f}, else {total_s / hours:.0f} ({steps}): {total_s / now_s:.2f}"
    )
    both = f"cuts {len(whole.cuts_ms)}, small {len(seen.cuts_ms)}, in both {near(whole.cuts_ms, seen.cuts_ms)}"
    more = 100 * small.stat().st_size / film.stat().st_size
    print(f"  bytes + {more:.0f} %; {both}; clips {taken(whole)}, small {taken(seen)}", flush=True)


def near(cuts: list[int], others: list[int]) -> int:
    """Cuts that have one near them among the others."""
    return sum(any(abs(cut - other) <= NEAR_MS for other in others) for cut in cuts)


def taken(video: MadeVideo) -> str:
    """How many clips were taken, and the reasons of the others."""
    return (
        f"{sum(c.sample is not None for c in video.clips)} {sorted({c.reason.value for c in video.clips if c.reason})}"
    )


def copies(films: list[Path], seconds: int, folder: Path) -> None:
    """Copies found: by large pictures, by small ones, by small ones of the copy beside large ones of the film."""
    found = {"large": 0, "small": 0, "one of each": 0}
    n = 0
    for path in films:
        film, copy = folder / "film.mkv", folder / "copy.mkv"
        make_copy(path, film, ["-vf", "null", "-crf", "14"], seconds)
        own = hashes_of(film, LIKENESS, seconds), hashes_of(scaled(film, folder / "s.mkv"), LIKENESS, seconds)
        if not is_same(own[0], own[0], LIKENESS):
            continue
        for options in COPIES.values():
            make_copy(film, copy, options, seconds)
            other = hashes_of(copy, LIKENESS, seconds), hashes_of(scaled(copy, folder / "c.mkv"), LIKENESS, seconds)
            n += 1
            found["large"] += is_same(own[0], other[0], LIKENESS)
            found["small"] += is_same(own[1], other[1], LIKENESS)
            found["one of each"] += is_same(own[0], other[1], LIKENESS)
    print(f"copies found of {n}: {found}", flush=True)


def damage(film: Path, n: int, folder: Path) -> None:
    """Damaged films in which each finds anything: a clip that is turned away, or the whole."""
    whole, chance = film.read_bytes(), random.Random(7)
    clean = taken(made(film, MediaConfig(), folder)[0])
    found = {"today": 0, "large file cut, its keyframes decoded": 0}
    for _ in range(n):
        bad = bytearray(whole)
        for _ in range(3):
            at = chance.randrange(len(bad) // 10, len(bad) * 9 // 10)
            bad[at : at + 16] = chance.randbytes(16)
        (path := folder / "bad.mp4").write_bytes(bad)
        found["today"] += finds(path, MediaConfig(), clean, folder, keys=False)
        found["large file cut, its keyframes decoded"] += finds(
            path, media_config(None, CLIPS_ALONE), clean, folder, keys=True
        )
    print(f"damaged films found of {n}: {found}", flush=True)


def finds(path: Path, config: MediaConfig, clean: str, folder: Path, *, keys: bool) -> bool:
    """Whether damage is found."""
    try:
        if keys:
            keyframes_cpu_s(path)
        return taken(made(path, config, folder)[0]) != clean
    except (Unusable, Starved, av.FFmpegError):
        return True


if __name__ == "__main__":
    main()
