"""Is a clip's text heard in its time? Its own text against those of other clips, by what a recogniser hears.

    python -m bench.heard --model FOLDER --kept FOLDER MEDIA=CAPTIONS … [--target 13.4] [--others 5]

Plans clips from each file of captions as a run does, listens to each media file once (`--kept` has what was heard), and
compares each clip's text, and those of other clips in its place, with what was heard in its time. For captions with
marks also what was heard as a transcript: word errors, F1 of its sentence ends, and how long its clips are.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from manifests.rows import HeardRow
from pipeline.config.media import MediaConfig
from pipeline.config.text import ClipConfig, TextConfig
from pipeline.media.own_text import said_in, share_heard
from pipeline.media.probe import probe
from pipeline.media.recognise import caption_row
from pipeline.media.recogniser import load_recogniser
from pipeline.media.work_limit import WorkLimit
from pipeline.text.boundary.features import normalise
from pipeline.text.captions import Track, read_track
from pipeline.text.captions.words import ends_with_mark
from pipeline.text.clip_plan import PlannedClip
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
    if track.punctuated:
        row: HeardRow = {"video_id": film.stem, "heard_by": "", "language": track.language, "words": words}
        own = read_track(caption_row(row)["payload"], format="json3", kind="auto", language=track.language)
        print_transcript(film.name, own, track, config)
    clips = clips_of(track, config, source.duration_ms)
    pairs = [(clip.text, said_in(words, clip.start_ms, clip.end_ms)) for clip in clips]
    print(f"{film.name}: in the time of {sum(not heard for _, heard in pairs)} of {len(clips)} clips nothing was heard")
    return [pair for pair in pairs if pair[1]]


def clips_of(track: Track, config: TextConfig, duration_ms: int = 0) -> list[PlannedClip]:
    """The clips of a track that no filter rejects."""
    planned, rejects = plan_track(track, config, language=track.language, duration_ms=duration_ms)
    return [clip for clip, reject in zip(planned, rejects, strict=True) if reject is None]


def print_transcript(name: str, heard: Track, captions: Track, config: TextConfig) -> None:
    """Prints how well a transcript agrees with captions by people, and the mean lengths of their clips."""
    words = [[normalise(word.text) for word in track.words] for track in (heard, captions)]
    ends = [{i for i, word in enumerate(track.words) if ends_with_mark(word.text)} for track in (heard, captions)]
    same = dict(zip(*_aligned(*words), strict=True))
    found = sum(same.get(i) in ends[1] for i in ends[0])
    seconds = [np.mean([c.end_ms - c.start_ms for c in clips_of(t, config)]) / 1000 for t in (heard, captions)]
    errors = Levenshtein.distance(*words) / len(words[1])
    print(
        f"{name}: word errors {errors:.3f} of {len(words[1])}; sentence ends F1 {2 * found / sum(map(len, ends)):.3f}"
    )
    print(f"  clips of {seconds[0]:.1f} s, of the captions {seconds[1]:.1f} s")


def _aligned(heard: list[str], captions: list[str]) -> tuple[list[int], list[int]]:
    """The indices of words that stand for one another: equal ones, and those replaced one by one."""
    steps = [s for s in Levenshtein.opcodes(heard, captions) if s.tag in ("equal", "replace")]
    pairs = [(s.src_start + i, s.dest_start + i) for s in steps for i in range(s.src_end - s.src_start)]
    return [a for a, _ in pairs], [b for _, b in pairs]


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
