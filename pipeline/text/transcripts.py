"""The stage from caption tracks to one transcript per video: the best track and, where possible, its word times.

Manual English captions give the text; if an automatic track exists too, its word stamps give the times. A unit is one
committed part of `captions`, named after the unit that wrote it: a longer crawl adds units and changes none.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from manifests.reasons import Reason
from manifests.rows import CaptionRow, TranscriptRow, WordRow
from manifests.sample import GivenSpan
from manifests.stages import STAGES
from pipeline.config.text import TextConfig
from pipeline.engine.work.boundary import per_item
from pipeline.engine.work.part_units import OverParts, part_of
from pipeline.engine.work.unit import Context, Output, Reject, Resources, Unit
from pipeline.text.align import align_track
from pipeline.text.boundary.features import normalise
from pipeline.text.captions import BrokenTrack, Track, Word, read_track
from pipeline.text.captions.track import primary
from pipeline.text.filters import LANGUAGE_WORDS, language_of

N_PERMUTATIONS = 64
MINHASH_SEED = 1
SHINGLES_AT_ONCE = 16_384
"""MinHash takes 512 bytes of memory per shingle while it hashes them."""
SHINGLE = 3
"""Words per shingle of the near-duplicate signature."""
MIN_TRACK_CONFIDENCE = 0.4
"""If a smaller share of words is anchored, the two tracks are taken to differ and the automatic track is used."""
LANGUAGE_SAMPLE = 400
"""Number of words from which a track's language is detected."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The chosen track, and the confidence of its alignment."""

    track: Track
    key: str
    """yt-dlp's key of the track that gave the text."""
    confidence: float


@dataclass(frozen=True, slots=True)
class TranscriptsStage(OverParts):
    """`captions` -> `transcripts`."""

    config: TextConfig
    name: str = "transcripts"
    resources: Resources = Resources(n_cpus=1.0, memory_bytes=2 * 1024**3, time_limit_s=1800.0)

    over: str = STAGES["transcripts"].by_part_of

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes a transcript or a reject for each video of the part, in the part's order."""
        table = context.store.read_part(part_of(unit))
        by_video: dict[str, list[CaptionRow]] = {}
        for row in table.to_pylist():
            by_video.setdefault(row["video_id"], []).append(row)
        rows: list[TranscriptRow] = []
        rejects: list[Reject] = []
        for video_id, tracks in by_video.items():
            made = per_item(context, video_id, partial(self._transcript, video_id, tracks))
            rejects.append(made) if isinstance(made, Reject) else rows.append(made)
        given = self._given({reject.video_id for reject in rejects}, unit, context)
        rejects = [reject for reject in rejects if reject.video_id not in given]
        return Output(rows={"transcripts": [*rows, *given.values()]}, rejects=rejects)

    def _given(self, video_ids: set[str], unit: Unit, context: Context) -> dict[str, TranscriptRow]:
        """Of videos without usable captions those whose list gave their clips' texts: these are enough."""
        if not video_ids:
            return {}
        own = context.store.parts_of("videos", [part_of(unit).unit]).values()
        videos = [row for part in own for row in context.store.read_part(part, ["video_id", "given_spans"]).to_pylist()]
        spans = {row["video_id"]: json.loads(row["given_spans"] or "[]") for row in videos}
        language = self.config.transcript.languages[0]
        return {
            video_id: given_transcript_row(video_id, language, spans[video_id])
            for video_id in sorted(video_ids & spans.keys())
            if any(span["text"] for span in spans[video_id])
        }

    def _transcript(self, video_id: str, tracks: Sequence[CaptionRow]) -> TranscriptRow:
        return transcript_row(video_id, choose_track(tracks, self.config))


def choose_track(tracks: Sequence[CaptionRow], config: TextConfig) -> Transcript:
    """Chooses the transcript of one video from its rows of `captions`, in the first language with a usable track.

    Raises BrokenTrack if there is none.
    """
    failures: list[BrokenTrack] = []
    for language in config.transcript.languages:
        usable, failed = _usable([row for row in tracks if primary(row["language"]) == primary(language)], config)
        if usable:
            return _combine(usable, config)
        failures += failed
    if not failures:
        raise BrokenTrack(f"no {' or '.join(config.transcript.languages)} track", Reason.NO_CAPTIONS)
    raise failures[0]


def _usable(rows: Sequence[CaptionRow], config: TextConfig) -> tuple[dict[str, tuple[str, Track]], list[BrokenTrack]]:
    """The first usable manual and automatic track with their keys, and why others are not."""
    read, failures = _read_all(rows)
    usable: dict[str, tuple[str, Track]] = {}
    for key, track in read:
        problem = unfit(track, config)
        if problem is not None:
            failures.append(problem)
            continue
        usable.setdefault("manual" if track.kind == "manual" else "auto", (key, track))
    return usable, failures


def _read_all(rows: Sequence[CaptionRow]) -> tuple[list[tuple[str, Track]], list[BrokenTrack]]:
    """Returns the readable tracks, plain language keys (`en`) before regional ones, and the errors of the others."""
    read, failures = [], []
    for row in sorted(rows, key=lambda row: (len(row["language"]), len(row["track"]), row["track"])):
        try:
            track = read_track(row["payload"], format=row["format"], kind=row["kind"], language=row["language"])
            read.append((row["track"], track))
        except BrokenTrack as error:
            failures.append(error)
    return read, failures


def unfit(track: Track, config: TextConfig) -> BrokenTrack | None:
    """Returns why a readable track cannot be used; None if it can."""
    limits = config.transcript
    if track.false_times and limits.false_times == "reject":
        return BrokenTrack("its word times are evenly spread or on another clock", Reason.FALSE_WORD_TIMES)
    if len(track.words) < limits.min_words:
        return BrokenTrack(f"{len(track.words)} words", Reason.TOO_FEW_WORDS)
    if limits.check_language and len(track.words) >= LANGUAGE_WORDS:
        spoken = track_language(track.words)
        if spoken != primary(track.language):
            return BrokenTrack(f"the words are in {spoken}", Reason.WRONG_LANGUAGE)
    return None


def track_language(words: Sequence[Word]) -> str:
    """The language of a track's words, judged by a sample from its middle."""
    begin = max(0, (len(words) - LANGUAGE_SAMPLE) // 2)
    return language_of(" ".join(word.text for word in words[begin : begin + LANGUAGE_SAMPLE]))


def _combine(usable: dict[str, tuple[str, Track]], config: TextConfig) -> Transcript:
    """Manual text with the automatic track's times; the automatic track alone if the two carry different speech.

    The preferred track that exists, where that is the automatic track or no automatic track has word times.
    """
    manual, auto = usable.get("manual"), usable.get("auto")
    order = (auto, manual) if config.transcript.prefer == "auto" else (manual, auto)
    if manual is None or auto is None or not auto[1].word_timed or order[0] is auto:
        key, track = next(pair for pair in order if pair is not None)
        return Transcript(track, key, 1.0)
    aligned, alignment = align_track(manual[1], auto[1], min_confidence=MIN_TRACK_CONFIDENCE)
    if aligned is manual[1]:
        return Transcript(auto[1], auto[0], 1.0)
    return Transcript(aligned, manual[0], round(alignment.confidence, 4))


def transcript_row(video_id: str, transcript: Transcript) -> TranscriptRow:
    """Makes a row of `transcripts`."""
    track = transcript.track
    events = [{"kind": e.kind, "text": e.text, "start_ms": e.start_ms, "end_ms": e.end_ms} for e in track.events]
    return {
        "video_id": video_id,
        "kind": track.kind,
        "language": track.language,
        "format": track.format,
        "track": transcript.key,
        "punctuated": track.punctuated,
        "word_timed": track.word_timed,
        "n_words": len(track.words),
        "words": word_dicts(track.words),
        "events": json.dumps(events, ensure_ascii=False),
        "alignment_confidence": transcript.confidence,
        "minhash": signature([word.text for word in track.words]),
    }


def given_transcript_row(video_id: str, language: str, spans: Sequence[GivenSpan]) -> TranscriptRow:
    """Makes a row of `transcripts` for a video whose clips came with their text: the row itself has no words."""
    texts = [word for span in spans for word in span["text"].split()]
    return {
        "video_id": video_id,
        "kind": "manual",
        "language": language,
        "format": "given",
        "track": "",
        "punctuated": True,
        "word_timed": False,
        "n_words": len(texts),
        "words": [],
        "events": "[]",
        "alignment_confidence": 1.0,
        "minhash": signature(texts),
    }


def word_dicts(words: Sequence[Word]) -> list[WordRow]:
    """Words in the form of the tables and JSON files."""
    return [{"text": w.text, "start_ms": w.start_ms, "end_ms": w.end_ms, "timed": w.timed} for w in words]


@cache
def _hasher() -> Any:
    from datasketch import MinHash

    return MinHash(num_perm=N_PERMUTATIONS, seed=MINHASH_SEED)


def signature(texts: Sequence[str]) -> bytes:
    """The MinHash of a text's 3-word shingles, for near-duplicate search: N_PERMUTATIONS little-endian uint32."""
    words = [word for text in texts if (word := normalise(text))]
    shingles = {" ".join(words[i : i + SHINGLE]).encode() for i in range(max(len(words) - SHINGLE + 1, 1))}
    sketch = _hasher().copy()
    ordered = sorted(shingles)
    for first in range(0, len(ordered), SHINGLES_AT_ONCE):
        sketch.update_batch(ordered[first : first + SHINGLES_AT_ONCE])
    return np.asarray(sketch.hashvalues, "<u4").tobytes()
