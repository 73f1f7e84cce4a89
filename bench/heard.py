"""Is a clip's text heard in its time? Its own text against those of other clips, by what a recogniser hears.

    python -m bench.heard --model FOLDER --kept FOLDER MEDIA=CAPTIONS … [--target 13.4] [--others 5]

Plans clips from each file of captions as a run does, listens to each media file once (`--kept` has what was heard), and
compares each clip's text, and those of other clips in its place, with what was heard in its time.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np

from pipeline.config.media import MediaConfig
from pipeline.config.text import ClipConfig, TextConfig
from pipeline.media.own_text import said_in, share_heard
from pipeline.media.probe import probe
from pipeline.media.recogniser import load_recogniser
from pipeline.media.work_limit import WorkLimit
from pipeline.text.captions import read_track
from pipeline.text.clips import plan_track

Said = tuple[str, str]
"""A clip's text, and what was heard in its time."""


def main() -> None:
    """Prints a line per file, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="MEDIA=CAPTIONS")
    parser.add_argument("--model", required=True, help="a folder with a Whisper model for CTranslate2")
    parser.add_argument("--kept", type=Path, required=True, help="a folder for what was heard")
    parser.add_argument("--target", type=float, default=ClipConfig().target_s, help="seconds that clips aim at")
    parser.add_argument("--others", type=int, default=5, help="how many other texts are tried in each clip's place")
    asked = parser.parse_args()
    config = TextConfig(clips=ClipConfig(target_s=asked.target))
    media = MediaConfig.model_validate({"heard": {"model": asked.model}})
    every: list[Said] = []
    for pair in asked.pairs:
        film, _, captions = pair.partition("=")
        clips = said_of(Path(film), Path(captions), config, media, asked.kept)
        print_line(Path(film).name, clips, asked.others, media.checks.least_heard)
        every += clips
    print_line("all", every, asked.others, media.checks.least_heard)


def said_of(film: Path, captions: Path, config: TextConfig, media: MediaConfig, kept: Path) -> list[Said]:
    """The clips of a file in whose time anything was heard."""
    source, track, said = probe(film), read_track(captions.read_bytes()), kept / f"{film.stem}.json"
    if not said.exists():
        began = time.process_time()
        words = load_recogniser(media.heard).hear(source, media.limits, WorkLimit(1e6)).words
        print(f"{film.name}: {(time.process_time() - began) / source.duration_ms * 3_600_000:.0f} CPU s an hour")
        said.write_text(json.dumps(words))
    words = json.loads(said.read_text())
    planned, rejects = plan_track(
        track, config, language=config.transcript.languages[0], duration_ms=source.duration_ms
    )
    clips = [clip for clip, reject in zip(planned, rejects, strict=True) if reject is None]
    pairs = [(clip.text, said_in(words, clip.start_ms, clip.end_ms)) for clip in clips]
    print(f"{film.name}: in the time of {sum(not heard for _, heard in pairs)} of {len(clips)} clips nothing was heard")
    return [pair for pair in pairs if pair[1]]


def print_line(name: str, clips: list[Said], n_others: int, bound: float) -> None:
    """Prints how well own texts are told from others, in general and by the bound of the settings."""
    drawn, indices = random.Random(0), range(len(clips))
    own = np.array([share_heard(*clip) for clip in clips])
    swaps = [(i, drawn.choice([j for j in indices if j != i])) for i in indices for _ in range(n_others)]
    other = np.array([share_heard(clips[j][0], clips[i][1]) for i, j in swaps])
    above = np.searchsorted(np.sort(other), own, "left") + np.searchsorted(np.sort(other), own, "right")
    auc = above.mean() / 2 / len(other)
    least = np.quantile(own, 0.01, method="lower")
    medians = f"{np.median(own):.2f} and {np.median(other):.2f}"
    print(f"{name}: {len(own)} clips, {len(other)} swapped; medians {medians}, AUC {auc:.4f}")
    print(f"  below {least:.2f}, 1 % of own: {(other < least).mean():.4f} of swapped")
    print(f"  below {bound:.2f}, as set: {(own < bound).mean():.4f} of own, {(other < bound).mean():.4f} of swapped")


if __name__ == "__main__":
    main()
