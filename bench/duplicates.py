"""Measures precision and recall of near-duplicate detection on copies made from the samples.

    python -m bench.duplicates [--samples ../shared/samples] [--seconds 12] [--half tuned|held]

Each film, at 360 lines, is copied in the ways of COPIES or UPLOADS; a pair (film, copy) should be found, a pair of
different films not (bench/strangers.py has more of these). Films that show fewer than three distinct pictures (talking
heads, slides) can't be recognised by pictures and are left out. Constants were chosen on the films TUNED; the others,
`held`, were not used for that.

What the search costs at 3.3 million videos is in docs/lab/repeats.md.
"""

import argparse
import random
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bench import strangers
from pipeline.likeness.same import LIKENESS, Likeness, are_same
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.phash import N_HASHES, Hashes
from pipeline.media.probe import Unusable

COPIES = {
    "re-encoded": ["-vf", "scale=-2:480", "-crf", "33"],
    "cropped 4 %": ["-vf", "crop=iw*0.92:ih*0.92"],
    "cropped 8 %": ["-vf", "crop=iw*0.84:ih*0.84"],
    "sped up": ["-vf", "setpts=PTS/1.25"],
    "logo": ["-vf", "drawbox=x=iw*0.8:y=ih*0.05:w=iw*0.15:h=ih*0.12:color=white:t=fill"],
    "letterboxed": ["-vf", "pad=iw:ih*1.25:0:(oh-ih)/2"],
    "pillarbox, blurred": [
        "-vf",
        "split[a][b];[a]scale=iw*1.4:ih,setsar=1,boxblur=20:2[c];[b]scale=iw:ih[d];[c][d]overlay=(W-w)/2:0",
    ],
    "cropped, one side": ["-vf", "crop=iw*0.85:ih:0:0"],
    "subtitle bar": ["-vf", "drawbox=x=iw*0.1:y=ih*0.85:w=iw*0.8:h=ih*0.1:color=black:t=fill"],
    "sped up by half": ["-vf", "setpts=PTS/1.5"],
    "mirrored": ["-vf", "hflip"],
    "trimmed by 1.3 s": ["-vf", "trim=start=1.3,setpts=PTS-STARTPTS"],
    "grey": ["-vf", "hue=s=0"],
    "brighter": ["-vf", "eq=brightness=0.12"],
}
COPIES["logo and bar"] = ["-vf", f"{COPIES['logo'][1]},{COPIES['subtitle bar'][1]}"]
_FLIPPED = "split[a][b];[b]scale=iw*{0}:-2,vflip,negate[c];[a][c]"
_FILTERS = {
    "9:16, blurred": "split[a][b];[a]scale=360:640:force_original_aspect_ratio=increase,crop=360:640,boxblur=20:2[c];"
    "[b]scale=360:-2[d];[c][d]overlay=0:(H-h)/2",
    "9:16, white": "scale=360:-2,pad=360:640:0:(oh-ih)/2:white",
    "9:16, black": "scale=360:-2,pad=360:640:0:(oh-ih)/2",
    "bars, white": "pad=iw:ih*1.25:0:(oh-ih)/2:white",
    "bars, grey": "pad=iw:ih*1.25:0:(oh-ih)/2:gray",
    "bars with words": "pad=iw:ih*1.5:0:(oh-ih)/2:white"
    + "".join(f",drawbox=x=iw*{0.2 + i * 0.03:.2f}:y=ih*0.05:w=iw*0.02:h=ih*0.06:t=fill" for i in range(20)),
    "L-frame": "pad=iw*1.3:ih*1.3:ow-iw:0:0x204080",
    "corner": _FLIPPED.format(0.3) + "overlay=W-w-8:H-h-8",
    "inside 10 %": "crop=iw*0.8:ih*0.8",
    "inside 15 %": "crop=iw*0.7:ih*0.7",
    "inside 20 %": "crop=iw*0.6:ih*0.6",
    "zoom by 32 %": "crop=iw*0.76:ih*0.76:iw*0.2:ih*0.04",
    "rotated": "rotate=5*PI/180",
    "half": "crop=iw/2:ih:0:0",
    "picture in picture": "split[a][b];[a]vflip,negate[c];[b]scale=iw/2:-2[d];[c][d]overlay=(W-w)/2:(H-h)/2",
    "negative": "negate",
}
UPLOADS = {kind: ["-vf", how] for kind, how in _FILTERS.items()}
"""What people do to upload a film again. Another film in the same picture is this one upside down and negated."""
LINES = "scale='if(gt(iw,ih),-2,360)':'if(gt(iw,ih),360,-2)'"
TUNED = (
    "LatentSync__demo1_video.mp4",
    "convolution-integral___97.ts",
    "imageio-binaries__cockatoo.mp4",
    "media__edit_list_positive_shift.mp4",
    "media__sample.avi",
    "metadata-extractor-images__FLIR_Thermal.mp4",
    "moviepy__video_with_failing_audio.mp4",
    "nodejs-docs-samples__googlework_short.mp4",
    "simpl__av1-2018-06_550.webm",
)
SECONDS = 12
"""Length of each film that is copied and compared, s, unless --seconds is given."""


def hashes_of(path: Path, rule: Likeness, seconds: int = SECONDS) -> Hashes:
    """The distinct pictures of a film's first seconds, as the balance has them; none for a film that can't be read."""
    try:
        return strangers.distinct_hashes([luma.copy() for _, luma in strangers.lumas(path, seconds * 1000)], rule)
    except (Unusable, ValueError):
        return np.zeros((0, N_HASHES), np.uint64)


def is_same(one: Hashes, other: Hashes, rule: Likeness) -> bool:
    """Whether the balance calls clips with these pictures the same."""
    return are_same(one, other, rule, rule.min_share)


def main() -> None:
    """Prints recall by kind of copy, and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how much of each film")
    parser.add_argument("--half", choices=("tuned", "held", "both", "none"), default="both", help="which films to copy")
    parser.add_argument("--uploads", action="store_true", help="copies of UPLOADS instead of COPIES")
    parser.add_argument("--films", type=int, default=strangers.FILMS, help="number of strangers; 0 for none")
    parser.add_argument("--more", type=Path, help="a folder of films that are held out too")
    parser.add_argument(
        "--copied", type=int, help="so many films of each half are copied, drawn by a seed; default all"
    )
    arguments = parser.parse_args()
    rule = LIKENESS
    paths = sorted((arguments.samples / "videos").glob("*.*"))
    paths += sorted(arguments.more.glob("*.*")) if arguments.more else []
    shown = {path: hashes_of(path, rule, arguments.seconds) for path in paths}
    comparable = [path for path in paths if is_same(shown[path], shown[path], rule)]
    for half in ("tuned", "held"):
        films = [path for path in comparable if (path.name in TUNED) == (half == "tuned")]
        if arguments.half in (half, "both"):
            print(f"{half}: {', '.join(path.name for path in films)}", flush=True)
            copies = UPLOADS if arguments.uploads else COPIES
            films = sorted(random.Random(7).sample(films, arguments.copied or len(films)))
            recall(films, list(copies), rule, arguments.seconds, {path: shown[path] for path in comparable})
    if arguments.films:
        strangers.report(paths, rule, arguments.films)


def recall(films: list[Path], kinds: list[str], rule: Likeness, seconds: int, others: dict[Path, Hashes]) -> None:
    """Prints the copies found, by film and by kind, and those that are called the same as one of the other films."""
    missed: list[tuple[str, str]] = []
    wrong: list[str] = []
    for path in films:
        with tempfile.TemporaryDirectory() as folder:
            film = Path(folder) / "film.mkv"
            make_copy(path, film, ["-vf", LINES, "-crf", "14"], seconds)
            shown = hashes_of(path, rule, seconds)
            for kind in kinds:
                copy = Path(folder) / "copy.mp4"
                make_copy(film, copy, (COPIES | UPLOADS)[kind], seconds)
                of_copy = hashes_of(copy, rule, seconds)
                if not is_same(shown, of_copy, rule):
                    missed.append((path.name, kind))
                alike = [one for one, hashes in others.items() if one != path and is_same(hashes, of_copy, rule)]
                wrong += [f"{path.name}, {kind}: {one.name}" for one in alike]
        print(f"  {path.name}, {len(shown)} pictures: {_found(path.name, 0, missed, len(kinds))}", flush=True)
    for kind in kinds:
        print(f"{kind:18s} {_found(kind, 1, missed, len(films))}")
    n_copies = len(films) * len(kinds)
    print(f"recall {1 - len(missed) / max(n_copies, 1):.3f} of {n_copies}")
    print(f"{len(wrong)} of {n_copies * (len(others) - 1)} pairs with other films called the same {wrong}", flush=True)


def _found(name: str, side: int, missed: list[tuple[str, str]], n_copies: int) -> str:
    """The copies of a film (side 0) or a kind (side 1) that were found: how many, and which were not."""
    of = [pair[1 - side] for pair in missed if pair[side] == name]
    return f"{n_copies - len(of)} of {n_copies} found" + (f"; missed {', '.join(of)}" if of else "")


def make_copy(path: Path, copy: Path, options: list[str], seconds: int = SECONDS) -> None:
    """Makes one copy with ffmpeg."""
    read = [find_ffmpeg(), "-v", "error", "-y", "-t", str(seconds), "-i", str(path), "-an"]
    quality = [] if "-crf" in options else ["-crf", "28"]
    options = [options[0], f"{options[1]},scale=trunc(iw/2)*2:trunc(ih/2)*2", *options[2:]]
    write = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *quality, str(copy)]
    subprocess.run([*read, *options, *write], check=True, timeout=300)


if __name__ == "__main__":
    main()
