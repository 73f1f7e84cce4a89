"""What a recogniser hears in real recordings: words where they are said, the same each time, and none over silence."""

import difflib
from importlib.util import find_spec
from pathlib import Path

from hdvila_testing.video import a_video
from pipeline.config.media import HeardConfig, MediaLimits
from pipeline.media.probe import probe
from pipeline.media.recogniser import Transcription, load_recogniser, why_deaf
from pipeline.media.work_limit import WorkLimit
from tests.pipeline.media.recogniser_model import model_folder
from tests.pipeline.media.stage_runs import SMALL

SAID = (
    "this is the optical and science segment of the webb space telescope in one of the largest clean rooms in the "
    "world at nasa's goddard space flight center in greenbelt maryland"
)


def hear(path: Path) -> Transcription:
    recogniser = load_recogniser(HeardConfig(model=str(model_folder())))
    return recogniser.hear(probe(path), MediaLimits(), WorkLimit(600))


def test_it_hears_a_recording_the_same_each_time(samples: Path) -> None:
    film = samples / "videos" / "torchcodec__nasa_13013.mp4"
    heard = hear(film)
    words = [word["text"].casefold().strip(".,") for word in heard.words]
    assert difflib.SequenceMatcher(None, words, SAID.split()).ratio() > 0.85
    starts = [word["start_ms"] for word in heard.words]
    assert starts == sorted(starts) and starts[0] >= 0 and heard.words[-1]["end_ms"] <= 13_100
    assert hear(film) == heard
    assert heard.language == "en" and all(part in heard.by for part in ("sha256:", "cpu", "int8", "faster-whisper 1"))


def test_nothing_is_said_in_silence_and_without_audio(samples: Path, tmp_path: Path) -> None:
    assert hear(samples / "videos" / "imageio-binaries__cockatoo.mp4").words == []
    assert hear(a_video(tmp_path / "mute.mp4", seconds=2, audio="", **SMALL)).words == []


def test_what_is_missing_is_said_without_loading_a_model(tmp_path: Path) -> None:
    missing = str(tmp_path) if find_spec("faster_whisper") else "pip install 'hdvila[recognise]'"
    assert missing in why_deaf(HeardConfig(model=str(tmp_path)))
