"""Shows a transcript: as plain data or terminal lines."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from manifests.reasons import Reason
from pipeline.config.text import TextConfig
from pipeline.text.align import align_track
from pipeline.text.captions.track import Track, primary
from pipeline.text.clip_plan import PlannedClip
from pipeline.text.clips import plan_track
from pipeline.text.filters import repeats
from pipeline.text.flags import flags_of
from pipeline.text.sentences import Sentence, mark_probabilities, model_used, split_sentences
from pipeline.text.transcripts import track_language, word_dicts


@dataclass(frozen=True, slots=True)
class ShownTranscript:
    """A track with its sentences and planned clips."""

    track: Track
    sentences: list[Sentence]
    clips: list[PlannedClip]
    rejections: list[tuple[Reason, str] | None]
    """For each clip the reason to reject it, or None."""
    model: str
    repeated: str = ""
    """Why a run would reject the track as a song; "" if it would not."""

    @property
    def kept(self) -> list[PlannedClip]:
        """The clips that no filter rejected."""
        return [clip for clip, rejection in zip(self.clips, self.rejections, strict=True) if rejection is None]


def shown_transcript(track: Track, config: TextConfig, stamped: Track | None = None) -> ShownTranscript:
    """Runs the text steps on a track; with `stamped`, the text first gets that track's word times."""
    if stamped is not None:
        track, _ = align_track(track, stamped)
    language = primary(track.language) or track_language(track.words)
    spoken = replace(track, language=language)
    marks = mark_probabilities(spoken, config.sentences)
    sentences = split_sentences(spoken, config.sentences, probability=marks.ends)
    clips, rejections = plan_track(track, config, language=language, marks=marks)
    share = repeats(track.words)
    repeated = f"a song: {share:.2f} of its phrases come back" if share > config.filters.max_repeated_share else ""
    return ShownTranscript(track, sentences, clips, rejections, model_used(spoken, config.sentences), repeated)


def as_json(shown: ShownTranscript) -> dict[str, object]:
    """The shown transcript as plain data: the format of `show transcript --json`."""
    track = shown.track
    return {
        "words": word_dicts(track.words),
        "events": [{"kind": e.kind, "text": e.text, "start_ms": e.start_ms, "end_ms": e.end_ms} for e in track.events],
        "sentences": [{"text": s.text, "start_ms": s.start_ms, "end_ms": s.end_ms} for s in shown.sentences],
        "clips": [
            {"text": c.text, "start_ms": c.start_ms, "end_ms": c.end_ms, "confidence": c.confidence} for c in shown.kept
        ],
        "track": {
            "format": track.format,
            "kind": track.kind,
            "punctuated": track.punctuated,
            "model": shown.model,
            "language": track.language,
            "word_timed": track.word_timed,
            "false_times": track.false_times,
        },
        "rejects": [
            {"text": c.text, "start_ms": c.start_ms, "end_ms": c.end_ms, "reason": a[0].value, "detail": a[1]}
            for c, a in zip(shown.clips, shown.rejections, strict=True)
            if a is not None
        ],
    }


def time_text(ms: int) -> str:
    """Formats a time as `h:mm:ss.mmm`, or `m:ss.mmm` below one hour."""
    seconds, rest = divmod(ms, 1000)
    hours, minutes = divmod(seconds // 60, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes:d}"
    return f"{head}:{seconds % 60:02d}.{rest:03d}"


def summary(shown: ShownTranscript) -> str:
    """A one-line summary of the track."""
    track = shown.track
    cue_times = "cue times (word times were false)" if track.false_times else "cue times"
    times = "word times" if track.word_timed else cue_times
    counts = f"{len(shown.sentences)} sentences, {len(shown.kept)} clips, {len(shown.clips) - len(shown.kept)} rejected"
    return (
        f"{track.format}, {track.kind}, {track.language or 'language not known'}, {times}, sentences by {shown.model}: "
        f"{len(track.words)} words, {counts}" + (f"; rejected, {shown.repeated}" if shown.repeated else "")
    )


def printable(line: str) -> str:
    """Makes a line safe to print: characters that move a terminal's cursor or change its colours become spaces."""
    return line if line.isprintable() else "".join(char if char.isprintable() else " " for char in line)


def terminal_lines(shown: ShownTranscript) -> Iterator[tuple[str, str]]:
    """Yields (style, line): each clip with its span and verdict, then its timed sentences; events in between."""
    yield "bold", summary(shown)
    by_first = {sentence.first: sentence for sentence in shown.sentences}
    events = [event for event in shown.track.events if event.kind not in ("speaker_change", "masked")]
    at = 0
    for clip, rejection in zip(shown.clips, shown.rejections, strict=True):
        while at < len(events) and events[at].start_ms < clip.end_ms:
            event = events[at]
            yield "magenta", f"          {time_text(event.start_ms):>11}  ({event.kind}) {event.text}"
            at += 1
        yield ("red" if rejection else "green"), _clip_line(clip, rejection)
        for first, last in _sentence_parts(clip, by_first):
            words = shown.track.words[first:last]
            mark = "~" if not words[0].timed else " "
            text = " ".join(word.text for word in words)
            yield "", f"         {mark}{time_text(words[0].start_ms):>11}  {text}"
    for event in events[at:]:
        yield "magenta", f"          {time_text(event.start_ms):>11}  ({event.kind}) {event.text}"


def _clip_line(clip: PlannedClip, rejection: tuple[Reason, str] | None) -> str:
    seconds = (clip.end_ms - clip.start_ms) / 1000
    facts = f"{seconds:.1f} s, {clip.last - clip.first} words, confidence {clip.confidence:.2f}"
    flags = flags_of(clip.text)
    verdict = f"  rejected: {rejection[0].value} ({rejection[1]})" if rejection else ""
    marks = f"  [{', '.join(flags)}]" if flags else ""
    return f"── clip {time_text(clip.start_ms)} – {time_text(clip.end_ms)}  {facts}{marks}{verdict}"


def _sentence_parts(clip: PlannedClip, by_first: dict[int, Sentence]) -> list[tuple[int, int]]:
    """The clip's words, divided where sentences begin."""
    bounds = [clip.first, *(i for i in range(clip.first + 1, clip.last) if i in by_first), clip.last]
    return list(pairwise(bounds))
