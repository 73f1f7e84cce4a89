"""What a recogniser hears in a file's audio: words with their times, by a Whisper model through faster-whisper.

In:  a file with audio, a folder with a model in CTranslate2's form        Out: `Transcription`

Temperature 0, one thread, no text carried from one window to the next: the same audio, model and versions give the same
words. Over silence such models make up text: what they say where WebRTC's detector hears no speech is dropped, and so
are segments that repeat themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import UserError
from manifests.rows import WordRow
from pipeline.media.cutting.audio import decode_audio
from pipeline.media.cutting.span import Span
from pipeline.media.cutting.window import read_only
from pipeline.media.probe import SoundProbe, open_media
from pipeline.media.resampling import resampled
from pipeline.media.speech import Speech, hear_speech
from pipeline.media.versions import version_of
from pipeline.media.work_limit import WorkLimit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.config.media import HeardConfig, MediaLimits

WEIGHTS = "model.bin"

_RATE = 16_000
_WINDOW_MS, _TAIL_MS = 600_000, 60_000
"""Audio that is in memory at a time, and the end of it in whose longest silence it is parted from the next."""

_NEAR_MS = 200
"""A word is dropped if nobody speaks in it and this long around it: its times are as exact as that."""

_LOOPS = 2.4
"""Text that compresses better than this repeats itself (Radford et al., 2022, section 4.5)."""

_LANGUAGE_WINDOWS = 4
"""Windows of 30 s from which a model of many languages tells which is spoken: the first may be music."""


_LEAST_OF_MANY = 51_865
"""Words in the vocabulary of a model of many languages (CTranslate2 tells them by it too); those of English alone have
fewer.
"""


@dataclass(frozen=True, slots=True)
class Transcription:
    """The words heard, in source time. `by`: what heard them; `language`: what it took the speech for."""

    by: str
    language: str
    words: list[WordRow]


@cache
def load_recogniser(config: HeardConfig) -> Recogniser:
    """Loads a model once per process. Raises UserError if it, or the extra, is missing."""
    return Recogniser(config)


def why_deaf(config: HeardConfig) -> str:
    """Why nothing can be recognised here, "" if it can, by a look for the extra and the model: it is not loaded."""
    if find_spec("faster_whisper") is None:
        return "media.heard.model: nothing can be recognised (needs: pip install 'hdvila[recognise]')"
    if not (Path(config.model) / WEIGHTS).is_file():
        return (
            f"media.heard.model: {config.model} holds no {WEIGHTS}: give a folder with a Whisper model for CTranslate2"
        )
    return ""


@cache
def languages_of(config: HeardConfig) -> tuple[str, ...]:
    """The only languages that a model knows, by the words of its vocabulary; () for one of many languages.

    The model is not loaded. Raises UserError as `load_recogniser` does.
    """
    if why := why_deaf(config):
        raise UserError(why)
    lines = next(iter(sorted(Path(config.model).glob("vocabulary.*"))), None)
    if lines is None:
        return ()
    text = lines.read_text("utf-8")
    n_words = len(json.loads(text)) if lines.suffix == ".json" else text.rstrip("\n").count("\n") + 1
    return ("en",) if n_words < _LEAST_OF_MANY else ()


class Recogniser:
    """A Whisper model, on a GPU if the worker has one."""

    def __init__(self, config: HeardConfig) -> None:
        if why := why_deaf(config):
            raise UserError(why)
        from faster_whisper import WhisperModel

        folder = Path(config.model)
        try:
            self._model: Any = WhisperModel(
                str(folder), device="auto", compute_type=config.compute_type, cpu_threads=1, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"media.heard.model: {folder} cannot be loaded ({error})") from None
        with (folder / WEIGHTS).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        tools = (f"{tool} {version_of(tool)}" for tool in ("faster-whisper", "ctranslate2"))
        kind = f"{self._model.model.device} {self._model.model.compute_type}"
        self.name = ", ".join((f"{folder.resolve().name} sha256:{sha256}", kind, *tools))
        self._only = next(iter(languages_of(config)), "")

    def hear(self, source: SoundProbe, limits: MediaLimits, limit: WorkLimit) -> Transcription:
        """Listens to a whole file; without audio, or where nobody speaks, there are no words.

        Raises Unusable where the file cannot be opened, Starved as `limit` does.
        """
        speech = hear_speech(source, limits, [Span(0, 0, source.duration_ms)], limit)
        if source.audio is None or speech is None or speech.share(0, source.duration_ms) <= 0:
            return Transcription(self.name, "", [])
        words: list[WordRow] = []
        language = self._only
        for start_ms, sound in _windows(source, limits, speech):
            segments, about = self._model.transcribe(
                sound,
                language=language or None,
                language_detection_segments=_LANGUAGE_WINDOWS,
                temperature=0.0,
                beam_size=1,
                condition_on_previous_text=False,
                word_timestamps=True,
            )
            language = about.language
            for segment in segments:
                limit.check_wall()
                if segment.compression_ratio <= _LOOPS:
                    words += [_row(word, start_ms) for word in segment.words]
        near = (
            word for word in words if speech.share(max(0, word["start_ms"] - _NEAR_MS), word["end_ms"] + _NEAR_MS) > 0
        )
        return Transcription(self.name, language, list(near))


def _row(word: Any, from_ms: int) -> WordRow:
    start_ms, end_ms = (from_ms + round(1000 * seconds) for seconds in (word.start, word.end))
    return {"text": word.word.strip(), "start_ms": start_ms, "end_ms": end_ms, "timed": True}


def _windows(source: SoundProbe, limits: MediaLimits, speech: Speech) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yields (ms from which on, [n] mono samples at 16 kHz) of stretches that part in silences."""
    assert source.audio is not None
    start_ms = 0
    while start_ms < source.duration_ms:
        end_ms = min(start_ms + _WINDOW_MS, source.duration_ms)
        if end_ms < source.duration_ms:
            silences = speech.silences(end_ms - _TAIL_MS, end_ms)
            first, last = max(silences, key=lambda s: s[1] - s[0], default=(end_ms, end_ms))
            end_ms = (first + last) // 2
        with open_media(source.path, limits) as container:
            read_only(container, source.audio.index)
            samples, rate = decode_audio(container, container.streams[source.audio.index], source, start_ms, end_ms)
        if samples is not None:
            yield start_ms, resampled(samples.mean(0, keepdims=True), rate, _RATE, 1)[0]
        start_ms = end_ms
