"""Precision and recall of near-duplicate detection on copies made from the samples.

    python -m bench.duplicates [--samples ../shared/samples] [--seconds 30]

Each film is copied in the ways of COPIES; a pair (film, copy) should be found, a pair of different films not. Films
that show fewer than three distinct pictures (talking heads, slides) can't be told by pictures and are listed apart.

    python -m bench.duplicates --sizes 20000,40000,80000

measures the search alone, on clips of random hashes of which a hundredth repeat another, and extrapolates.
"""

import argparse
import resource
import subprocess
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.balance.duplicates import find_duplicates, shared
from pipeline.balance.shown import distinct_in
from pipeline.config.media import DuplicatesConfig, MediaLimits
from pipeline.media.decode_pass import HASH_EVERY_MS
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, Stretch, decode, luma_of
from pipeline.media.phash import Hashes, pack_hashes, picture_hashes, unpack_hashes
from pipeline.media.probe import Unusable, probe

COPIES = {
    "re-encoded": ["-vf", "scale=-2:480", "-crf", "33"],
    "cropped 4 %": ["-vf", "crop=iw*0.92:ih*0.92"],
    "cropped 8 %": ["-vf", "crop=iw*0.84:ih*0.84"],
    "sped up": ["-vf", "setpts=PTS/1.25"],
    "logo": ["-vf", "drawbox=x=iw*0.8:y=ih*0.05:w=iw*0.15:h=ih*0.12:color=white:t=fill"],
    "letterboxed": ["-vf", "pad=iw:ih*1.25:0:(oh-ih)/2"],
    "pillarbox, blurred": [
        "-vf",
        "split[a][b];[a]scale=iw*1.4:ih,boxblur=20:2[c];[b]scale=iw:ih[d];[c][d]overlay=(W-w)/2:0",
    ],
    "cropped, one side": ["-vf", "crop=iw*0.85:ih:0:0"],
    "subtitle bar": ["-vf", "drawbox=x=iw*0.1:y=ih*0.85:w=iw*0.8:h=ih*0.1:color=black:t=fill"],
    "sped up by half": ["-vf", "setpts=PTS/1.5"],
    "mirrored": ["-vf", "hflip"],
    "trimmed by 1.3 s": ["-vf", "trim=start=1.3,setpts=PTS-STARTPTS"],
    "grey": ["-vf", "hue=s=0"],
    "brighter": ["-vf", "eq=brightness=0.12"],
}
SECONDS = 30
"""Of each film so much is copied and compared, unless --seconds says otherwise."""


def hashes_of(path: Path, max_distance: int, seconds: int = SECONDS) -> Hashes:
    """Distinct pictures of the first seconds of a film, as the media stage hashes them."""
    source = probe(path)
    scaler, found, due_ms = Scaler(source, SMALL_SHORT_SIDE, "yuv420p"), [], 0
    for item in decode(source, MediaLimits(), [Stretch(0, seconds * 1000)]):
        if isinstance(item, Picture) and item.time_ms >= due_ms:
            due_ms = (item.time_ms // HASH_EVERY_MS + 1) * HASH_EVERY_MS
            found.append(picture_hashes(luma_of(scaler(item.frame))))
    hashes = unpack_hashes(pack_hashes(found))
    return hashes[distinct_in(hashes[:, 0], np.array([len(hashes)]), max_distance)]


def main() -> None:
    """Prints recall by kind of copy, and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how much of each film")
    parser.add_argument("--sizes", help="numbers of clips, separated by commas: only the search's cost")
    arguments = parser.parse_args()
    if arguments.sizes:
        cost([int(size) for size in arguments.sizes.split(",")])
        return
    config = DuplicatesConfig()
    shown: dict[tuple[str, str], Hashes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((arguments.samples / "videos").glob("*.*")):
            try:
                shown[path.name, ""] = hashes_of(path, config.max_distance, arguments.seconds)
            except (Unusable, ValueError):
                continue
            if len(shown[path.name, ""]) >= config.min_frames:
                for kind, options in COPIES.items():
                    copy = Path(folder) / "copy.mp4"
                    make_copy(path, copy, options, arguments.seconds)
                    shown[path.name, kind] = hashes_of(copy, config.max_distance, arguments.seconds)
    report(shown, config)


def cost(sizes: list[int]) -> None:
    """Prints seconds and memory of the search by number of clips, and what its growth comes to."""
    config, seconds = DuplicatesConfig(), []
    for size in sizes:
        table = random_packs(size)
        began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = find_duplicates(table, config)
        seconds.append(time.process_time() - began)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        n_found = sum(map(len, found.values()))
        print(f"{size} clips: {seconds[-1]:.1f} CPU s, {1000 * seconds[-1] / size:.2f} ms a clip, {n_found} found")
        print(f"  peak {peak_mb:.0f} MB, before {before / 1024:.0f} MB", flush=True)
    if len(sizes) > 1:
        slope, offset = np.polyfit(np.log(sizes), np.log(seconds), 1)
        at = np.exp(offset) * 3.3e6**slope
        print(f"exponent {slope:.2f}; 3.3 million clips: {at:.0f} CPU s, {1000 * at / 3.3e6:.2f} ms a clip")


def random_packs(n_clips: int) -> pa.Table:
    """Clips of ten pictures, twelve to a video, every hundredth a copy (three bits of each hash differ)."""
    rng = np.random.default_rng(5)
    hashes = rng.integers(1, 2**63, (n_clips, 10, 2), dtype=np.uint64)
    copies = np.arange(100, n_clips, 100)
    hashes[copies] = hashes[copies - 50]
    for _ in range(3):
        hashes[copies] ^= np.uint64(1) << rng.integers(0, 64, hashes[copies].shape, dtype=np.uint64)
    videos = [f"v{i // 12}" for i in range(n_clips)]
    return pa.table(
        {
            "clip_id": [f"{video}.{i % 12}" for i, video in enumerate(videos)],
            "video_id": videos,
            "channel_id": [f"c{i // 240}" for i in range(n_clips)],
            "status": ["success"] * n_clips,
            "phashes": [row.astype(">u8").tobytes() for row in hashes],
        }
    )


def make_copy(path: Path, copy: Path, options: list[str], seconds: int = SECONDS) -> None:
    """One copy by ffmpeg."""
    read = [find_ffmpeg(), "-v", "error", "-y", "-t", str(seconds), "-i", str(path), "-an"]
    quality = [] if "-crf" in options else ["-crf", "28"]
    options = [options[0], f"{options[1]},scale=trunc(iw/2)*2:trunc(ih/2)*2", *options[2:]]
    write = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *quality, str(copy)]
    subprocess.run([*read, *options, *write], check=True, timeout=300)


def report(shown: dict[tuple[str, str], Hashes], config: DuplicatesConfig) -> None:
    """Counts pairs found and pairs that should be."""

    def same(a: Hashes, b: Hashes) -> bool:
        enough = min(len(a), len(b)) >= config.min_frames
        return enough and shared(a, b, config.max_distance) >= config.min_share

    films = sorted({name for name, kind in shown if kind})
    untold = sorted({name for name, _ in shown} - set(films))
    right = 0
    for kind in COPIES:
        found = [name for name in films if same(shown[name, ""], shown[name, kind])]
        right += len(found)
        missed = sorted(set(films) - set(found))
        print(f"{kind:18s} {len(found)} of {len(films)} found" + (f"; missed {', '.join(missed)}" if missed else ""))
    wrong = n_pairs = 0
    for (name, kind), (other, other_kind) in combinations(shown, 2):
        if name != other:
            n_pairs += 1
            if same(shown[name, kind], shown[other, other_kind]):
                wrong += 1
                print(f"  called the same: {name} ({kind or 'itself'}), {other} ({other_kind or 'itself'})")
    n_copies = len(films) * len(COPIES)
    print(f"recall {right / max(n_copies, 1):.3f} of {n_copies}, precision {right / max(right + wrong, 1):.3f}")
    print(f"{wrong} of {n_pairs} pairs of different films called the same; untold: {len(untold)} films")


if __name__ == "__main__":
    main()
