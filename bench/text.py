"""Measures the text side on real captions: one command, every number with its target.

    python -m bench.text [--samples ../shared/samples] [--model pipeline/text/boundary/model.npz]

Boundaries are scored at every word but the last; a mean is over tracks, never pooled. The shipped model was trained on
podcast transcripts alone, so every track here is of a video, a channel and a kind of text that it has not seen.
`pairs` are lectures with a human transcript and recognised word times; their words stand in for an automatic track
(case and marks removed, word ends thrown away). `silver` are automatic tracks that came punctuated, unmarked likewise.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.text import SentenceConfig, TextConfig
from pipeline.text.align import align_words, comparable
from pipeline.text.boundary import BoundaryModel, NetModel, PauseModel
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions import Track, Word, read_track
from pipeline.text.captions.words import in_time_order, spoken_ms
from pipeline.text.clips import plan_track
from pipeline.text.filters import language_of
from pipeline.text.sentences import sentence_breaks

Ends = NDArray[np.bool_]
MARKS = ".,;:!?…\"“”()[]—–-'‘’"


def f1(found: Ends, true: Ends) -> float:
    """F1 of boundaries, the last word apart (it ends a sentence whatever one does)."""
    found, true = found[:-1], true[:-1]
    return float(2 * (found & true).sum() / max(found.sum() + true.sum(), 1))


def unmarked(words: Sequence[Word], ends: Sequence[bool]) -> tuple[Track, Ends]:
    """The words as an old automatic track gives them (lower case, no marks, ends unknown), and the true ends."""
    kept: list[Word] = []
    true: list[bool] = []
    for word, end in zip(words, ends, strict=True):
        text = word.text.lower().strip(MARKS)
        if text:
            kept.append(Word(text, word.start_ms, word.start_ms + spoken_ms(text), True))
            true.append(end)
        elif true:
            true[-1] = true[-1] or end
    true[-1] = True
    return Track(tuple(in_time_order(kept)), (), "json3", "auto", "en", False, True), np.array(true)


def pair_words(folder: Path) -> list[Word]:
    """The recognised words of a pair with their true starts and ends."""
    timings = json.loads((folder / "word_timings.json").read_text(encoding="utf-8"))
    return [Word(t.strip(), round(a * 1000), round(b * 1000), True) for t, a, b in timings if t.strip()]


def gold_lines(folder: Path) -> list[str]:
    """The human transcript, a sentence a line."""
    lines = (folder / "transcript.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def gold_ends(folder: Path) -> tuple[list[str], Ends]:
    """The human transcript's words, and where its lines end."""
    words: list[str] = []
    ends: list[bool] = []
    for line in gold_lines(folder):
        tokens = [token for token in line.split() if any(char.isalnum() for char in token)]
        words += tokens
        ends += [False] * (len(tokens) - 1) + [True]
    return words, np.array(ends)


def pair_truth(folder: Path) -> tuple[Track, Ends]:
    """A pair's recognised words unmarked, with the human transcript's line ends carried over by alignment."""
    spoken = pair_words(folder)
    words, ends = gold_ends(folder)
    from rapidfuzz.distance import Levenshtein

    carried = [False] * len(spoken)
    for block in Levenshtein.opcodes([comparable(w) for w in words], [comparable(w.text) for w in spoken]):
        for k in range(block.src_start, block.src_end):
            if ends[k] and block.dest_end > block.dest_start:
                at = block.dest_start + min(k - block.src_start, block.dest_end - block.dest_start - 1)
                carried[at] = True
            elif ends[k] and block.dest_start > 0:
                carried[block.dest_start - 1] = True
    return unmarked(spoken, carried)


def fixed_length(track: Track, rate: float) -> Ends:
    """The baseline that ends a sentence every so many words, at the true mean rate."""
    step = max(round(1 / max(rate, 1e-6)), 1)
    ends = np.zeros(len(track.words), np.bool_)
    ends[step - 1 :: step] = True
    return ends


def report_boundaries(title: str, tracks: dict[str, tuple[Track, Ends]], model: BoundaryModel, target: float) -> None:
    """F1 of model and baselines for each track, and the means."""
    config = SentenceConfig()
    ways: dict[str, Callable[[Track, Ends], Ends]] = {
        model.name: lambda track, _: sentence_breaks(track, config, model),
        "pause": lambda track, _: sentence_breaks(track, config, PauseModel()),
        "fixed": lambda track, true: fixed_length(track, float(true.mean())),
    }
    print(f"\n{title}: boundary F1, unmarked input (target of the mean: {target:.2f})")
    print(f"  {'track':34}{'words':>7}{'ends':>6}" + "".join(f"{name:>9}" for name in ways))
    scores: dict[str, list[float]] = {name: [] for name in ways}
    for name, (track, true) in tracks.items():
        row = {way: f1(decide(track, true), true) for way, decide in ways.items()}
        for way, value in row.items():
            scores[way].append(value)
        print(f"  {name:34}{len(true):>7}{int(true.sum()):>6}" + "".join(f"{value:>9.3f}" for value in row.values()))
    print(f"  {'mean over tracks':47}" + "".join(f"{np.mean(values):>9.3f}" for values in scores.values()))


def report_marked(pairs: dict[str, Path]) -> None:
    """F1 of the track's own marks against the human transcript's lines, on the published captions."""
    print("\nmarked captions (pairs/captions.srt against the transcript's lines): boundary F1 (target: 0.97)")
    values = []
    for name, folder in pairs.items():
        track = read_track((folder / "captions.srt").read_bytes())
        found = sentence_breaks(track, SentenceConfig(), PauseModel())
        words, ends = gold_ends(folder)
        true = np.zeros(len(found), np.bool_)
        partner = align_words([w.text for w in track.words], [Word(w, i, i + 1, True) for i, w in enumerate(words)])
        for i, (word, anchored) in enumerate(zip(partner.words, partner.anchored, strict=True)):
            true[i] = anchored and ends[word.start_ms]
        values.append(f1(found, true))
        print(f"  {name:34}{len(found):>7}{int(true.sum()):>6}{values[-1]:>9.3f}")
    print(f"  {'mean over tracks':47}{np.mean(values):>9.3f}")


def damaged(words: Sequence[Word], rng: random.Random, share: float) -> list[Word]:
    """The words with a share of them dropped, and as many changed."""
    pool = [word.text for word in words]
    out = []
    for word in words:
        draw = rng.random()
        if draw < share:
            continue
        text = rng.choice(pool) if draw < 2 * share else word.text
        out.append(Word(text, word.start_ms, word.end_ms, True))
    return out


def span_errors(folder: Path, share: float, seed: int) -> tuple[list[int], list[int], float]:
    """(start errors, end errors, share of sentences anchored) of the transcript aligned to an automatic-like track, ms.

    Truth: the pair's own word times, looked up by matching the transcript to the undamaged words.
    """
    spoken = pair_words(folder)
    texts, ends = gold_ends(folder)
    truth = align_words(texts, spoken)
    stamped, _ = unmarked(spoken, [False] * len(spoken))
    heard = damaged(stamped.words, random.Random(seed), share)
    aligned = align_words(texts, in_time_order(heard))
    starts, stops, trusted, first = [], [], 0, 0
    sentences = 0
    for last in np.flatnonzero(ends).tolist():
        sentences += 1
        confident = sum(aligned.anchored[first : last + 1]) >= 0.6 * (last + 1 - first)
        trusted += confident
        if confident and truth.anchored[first] and truth.anchored[last]:
            starts.append(abs(aligned.words[first].start_ms - truth.words[first].start_ms))
            stops.append(abs(aligned.words[last].end_ms - truth.words[last].end_ms))
        first = last + 1
    return starts, stops, trusted / sentences


def report_spans(pairs: dict[str, Path]) -> None:
    """Span errors of aligned sentences, clean and with dropped and changed words."""
    print("\naligned spans on the pairs, ms (targets of starts: median <= 50, p95 <= 300)")
    print(f"  {'damage':28}{'start med':>10}{'p95':>7}{'end med':>9}{'p95':>7}{'anchored':>10}")
    for share in (0.0, 0.05, 0.1):
        rows = [span_errors(folder, share, seed) for seed, folder in enumerate(pairs.values())]
        cells = [float(np.mean([np.percentile(row[side], q) for row in rows])) for side in (0, 1) for q in (50, 95)]
        label = f"{share:.0%} dropped, {share:.0%} changed"
        print(f"  {label:28}" + "".join(f"{c:>{w}.0f}" for c, w in zip(cells, (10, 7, 9, 7), strict=True)), end="")
        print(f"{np.mean([row[2] for row in rows]):>10.3f}")


def report_clips(files: Sequence[Path]) -> None:
    """Clip lengths of English tracks by both ways of steering, beside HD-VILA-100M's."""
    print("\nclips (HD-VILA-100M: 13.4 s, 32.5 words)")
    for steer in ("seconds", "words"):
        config = TextConfig.model_validate({"clips": {"steer_by": steer}})
        seconds, words, kept, planned = [], [], 0, 0
        for path in files:
            track = read_track(path.read_bytes())
            clips, away = plan_track(track, config, language="en")
            lengths = [
                ((c.end_ms - c.start_ms) / 1000, c.last - c.first)
                for c, a in zip(clips, away, strict=True)
                if a is None
            ]
            planned += len(clips)
            kept += len(lengths)
            if lengths:
                seconds.append(np.mean([s for s, _ in lengths]))
                words.append(np.mean([w for _, w in lengths]))
        print(f"  steered by {steer:8} mean {np.mean(seconds):5.1f} s {np.mean(words):5.1f} words;", end="")
        print(f" {kept} of {planned} planned clips pass, {len(files)} tracks")


def report_speed(files: Sequence[Path]) -> None:
    """Seconds of one core for an hour of captions, from file to clips; the best of three."""
    language_of("the language model is loaded once a process")
    print("\nseconds per hour of captions, file to clips (target: 0.5)")
    total_s = total_h = 0.0
    for path in files:
        best = min(_time_once(path) for _ in range(3))
        hours = read_track(path.read_bytes()).words[-1].end_ms / 3.6e6
        total_s, total_h = total_s + best, total_h + hours
        print(f"  {path.name:34}{hours:>7.2f} h{best / hours:>9.3f}")
    print(f"  {'all':34}{total_h:>7.2f} h{total_s / total_h:>9.3f}")


def _time_once(path: Path) -> float:
    started = time.process_time()
    plan_track(read_track(path.read_bytes()), TextConfig(), language="en")
    return time.process_time() - started


def main() -> None:
    """Prints every measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path("../shared/samples"))
    parser.add_argument("--model", type=Path, default=None)
    options = parser.parse_args()
    captions = options.samples / "captions"
    model = NetModel(options.model) if options.model else NetModel()
    pairs = {folder.name: folder for folder in sorted((captions / "pairs").iterdir()) if folder.is_dir()}
    silver = {}
    for path in sorted(captions.glob("en_auto_punct_*")):
        words = read_track(path.read_bytes()).words
        silver[path.name] = unmarked(words, sentence_ends([word.text for word in words]))
    report_boundaries("pairs", {name: pair_truth(folder) for name, folder in pairs.items()}, model, 0.85)
    report_boundaries("silver", silver, model, 0.70)
    report_marked(pairs)
    report_spans(pairs)
    english = [p for p in sorted(captions.glob("en_*")) if "fixture" not in p.name and "sparse" not in p.name]
    report_clips(english)
    report_speed([p for p in english if p.stat().st_size > 60_000 and "live" not in p.name])


if __name__ == "__main__":
    main()
