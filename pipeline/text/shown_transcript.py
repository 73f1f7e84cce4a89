"""Shows a transcript: as plain data, terminal lines or an HTML page. All text in it is escaped."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

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
    anchored = None
    if stamped is not None:
        track, _ = align_track(track, stamped)
        anchored = [word.timed for word in track.words]
    language = primary(track.language) or track_language(track.words)
    spoken = replace(track, language=language)
    marks = mark_probabilities(spoken, config.sentences)
    sentences = split_sentences(spoken, config.sentences, probability=marks.ends)
    clips, rejections = plan_track(track, config, language=language, anchored=anchored, marks=marks)
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


_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.3rem}.clip{border-left:5px solid #2f855a;margin:.8rem 0;padding:.3rem .8rem;background:#f6f8fa}
.clip.rejected{border-color:#c53030}.head{font-size:.8rem;color:#57606a}.rejected .head{color:#c53030}
.line{position:relative;height:1.1rem;background:#e4e8ec;margin:.3rem 0;border-radius:3px;overflow:hidden}
.line i{position:absolute;top:0;bottom:0;background:#4c8dbf;border-right:1px solid #fff}
.line i.guess{background:#b8c4ce}
.line i.first{border-left:3px solid #b7410e}p{margin:.2rem 0}time{color:#57606a;font-size:.75rem;margin-right:.5rem}
.event{color:#86398f;font-size:.85rem;margin:.3rem 0}@media(prefers-color-scheme:dark){body{background:#15181c;
color:#e6e8ea}.clip{background:#1d2228}.line{background:#30363d}.head,time{color:#9aa4ae}.event{color:#d08ada}}
"""


def as_html(shown: ShownTranscript, title: str) -> str:
    """A self-contained page of it: per clip a time line of words with sentence starts marked, and the verdict."""
    by_first = {sentence.first: sentence for sentence in shown.sentences}
    events = [event for event in shown.track.events if event.kind not in ("speaker_change", "masked")]
    parts, at = [], 0
    for clip, rejection in zip(shown.clips, shown.rejections, strict=True):
        while at < len(events) and events[at].start_ms < clip.end_ms:
            parts.append(_event_html(events[at]))
            at += 1
        parts.append(_clip_html(shown.track, clip, rejection, by_first))
    parts.extend(_event_html(event) for event in events[at:])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(summary(shown))}</p><p class=head>Blue: stamped words; grey: interpolated; a red edge starts "
        f"a sentence.</p>{''.join(parts)}</html>\n"
    )


def _event_html(event: Any) -> str:
    text = html.escape(f"{event.kind}: {event.text}")
    return f"<div class=event><time>{time_text(event.start_ms)}</time>{text}</div>"


def _clip_html(
    track: Track, clip: PlannedClip, rejection: tuple[Reason, str] | None, by_first: dict[int, Sentence]
) -> str:
    sentences = "".join(
        f"<p><time>{time_text(words[0].start_ms)}</time>{html.escape(' '.join(word.text for word in words))}</p>"
        for words in (track.words[a:b] for a, b in _sentence_parts(clip, by_first))
    )
    bars = "".join(_bars(track, clip, by_first))
    return (
        f'<div class="clip{" rejected" if rejection else ""}">'
        f"<div class=head>{html.escape(_clip_line(clip, rejection))}</div><div class=line>{bars}</div>{sentences}</div>"
    )


def _bars(track: Track, clip: PlannedClip, sentences: dict[int, Sentence] | Sequence[int]) -> Iterator[str]:
    """Yields one bar per word, positioned in per cent of the clip."""
    length = max(clip.end_ms - clip.start_ms, 1)
    for i in range(clip.first, clip.last):
        word = track.words[i]
        left, width = (word.start_ms - clip.start_ms) / length, (word.end_ms - word.start_ms) / length
        names = " ".join(name for name, on in (("guess", not word.timed), ("first", i in sentences)) if on)
        yield f'<i class="{names}" style="left:{left:.3%};width:{width:.3%}" title="{html.escape(word.text)}"></i>'
