"""The stage that listens, and what the media stage makes of it: a clip's text is compared with what is said there."""

import json
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows
from manifests.reasons import Reason
from manifests.rows import WordRow
from manifests.sample import RECOGNISED, SampleJson
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Rejected
from pipeline.media.own_text import said_in, share_heard
from pipeline.media.recognise import RecogniseStage, caption_row
from pipeline.media.stage import MediaStage
from pipeline.text.captions import read_track
from tests.pipeline.media.recogniser_model import model_folder
from tests.pipeline.media.stage_runs import no_fetch, samples_of

OWN = [
    "This is the optical and science segment of the Webb Space Telescope",
    "in one of the largest clean rooms in the world.",
]
OTHER = ["Cream the butter with the sugar until it is pale", "and fold in the flour, a spoon at a time."]
SPANS = [(0, 5000), (5000, 8500), (8500, 12_500)]


def config_of(model: str, **checks: str) -> MediaConfig:
    return MediaConfig.model_validate({"heard": {"model": model}, "cut": {"min_short_side": 0}, "checks": checks})


def planned(tmp_path: Path, film: Path, texts: list[str], language: str = "en") -> Store:
    store = Store(str(tmp_path / "out"))
    clips = [
        a_clip_row("v1", n, start, end, text=text, language=language, n_words=0)
        for n, ((start, end), text) in enumerate(zip(SPANS, texts, strict=False))
    ]
    commit_rows(store, "folder", "v1", {"videos": [a_video_row("v1", media_path=str(film), duration_s=13.0)]})
    commit_rows(store, "clips", "v1", {"clips": clips})
    return store


def process(stage: Any, store: Store, scratch: Path) -> Output:
    scratch.mkdir()
    [unit] = stage.units(store)
    output: Output = stage.process(unit, Context(store, scratch, time.monotonic() + 600))
    return output


def made(tmp_path: Path, film: Path, texts: list[str], **checks: str) -> Output:
    config = config_of(str(model_folder()), **checks)
    store = planned(tmp_path, film, texts)
    heard = process(RecogniseStage(config, no_fetch, ["v1"]), store, tmp_path / "hear")
    commit_rows(store, "recognise", "v1", dict(heard.rows))
    return process(MediaStage(config, ["v1"], no_fetch), store, tmp_path / "make")


def copy_audio(film: Path, sound: Path) -> None:
    """Copies the audio of a film into a file of its own."""
    with av.open(str(film)) as source, av.open(str(sound), "w", format="mp4") as target:
        track = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)


def documents(output: Output) -> list[SampleJson]:
    return [document for document, _ in samples_of(output)]


@pytest.fixture
def film(samples: Path) -> Path:
    return samples / "videos" / "torchcodec__nasa_13013.mp4"


def test_a_clips_own_text_is_heard_and_another_is_flagged(film: Path, tmp_path: Path) -> None:
    own, other = documents(made(tmp_path, film, [OWN[0], OTHER[1]]))
    assert own.heard > 0.8 and "sha256:" in own.heard_by and "low_heard" not in own.flags
    assert 0 <= other.heard < 0.3 and "low_heard" in json.loads(other.flags)


def test_captions_of_another_film_are_rejected_as_such_where_that_is_asked(film: Path, tmp_path: Path) -> None:
    output = made(tmp_path, film, [*OTHER, "Bake it for forty minutes in a hot oven."], other_speech="reject")
    assert [reject.reason for reject in output.rejects] == [Reason.OTHER_SPEECH] * 4
    assert [reject.clip_id for reject in output.rejects][-1] == "", "and so is the video"


def test_without_a_recogniser_clips_keep_their_captions(film: Path, tmp_path: Path) -> None:
    config = config_of(str(tmp_path))  # an empty folder, or not even the extra
    store = planned(tmp_path, film, OWN)
    with pytest.raises(Rejected) as deaf:
        process(RecogniseStage(config, no_fetch, ["v1"]), store, tmp_path / "hear")
    assert deaf.value.reason is Reason.NO_RECOGNISER
    for document in documents(process(MediaStage(config, ["v1"], no_fetch), store, tmp_path / "make")):
        assert (document.heard, document.heard_by) == (-1.0, "") and document.text in OWN


def test_a_model_that_does_not_know_the_captions_language_is_not_asked(film: Path, tmp_path: Path) -> None:
    config = config_of(str(model_folder()))
    store = planned(tmp_path, film, OWN, language="es")
    [row] = process(RecogniseStage(config, no_fetch, ["v1"]), store, tmp_path / "hear").rows["heard"]
    assert row["words"] == [] and row["language"] == ""


def test_a_video_without_captions_gets_what_is_heard_if_the_model_knows_its_language(
    film: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "out"))
    without = {"media_path": str(film), "duration_s": 13.0, "caption_tracks": []}
    videos = [a_video_row("known", language="en-US", **without), a_video_row("not-said", language="", **without)]
    commit_rows(store, "folder", "f", {"videos": [*videos, a_video_row("captioned", media_path=str(film))]})
    stage = RecogniseStage(config_of(str(model_folder())), no_fetch)
    outputs = {
        unit.name: stage.process(unit, Context(store, tmp_path, time.monotonic() + 600)) for unit in stage.units(store)
    }
    assert outputs.keys() == {"known", "not-said"}
    [caption] = outputs["known"].rows["captions"]
    track = read_track(caption["payload"], format=caption["format"], kind=caption["kind"], language=caption["language"])
    assert (track.kind, track.word_timed, track.punctuated) == (RECOGNISED, True, True)
    assert "Space Telescope" in " ".join(word.text for word in track.words)
    assert [reject.reason for reject in outputs["not-said"].rejects] == [Reason.NO_CAPTIONS]


def test_of_a_video_that_is_no_file_the_sound_is_fetched_and_heard_as_in_its_film(film: Path, tmp_path: Path) -> None:
    config, fetched = config_of(str(model_folder())), list[str]()

    def fetch(video: Any, context: Context) -> Path:
        fetched.append(video["video_id"])
        sound = context.scratch / "fetch" / "sound.m4a"
        sound.parent.mkdir()
        copy_audio(film, sound)
        return sound

    in_film = process(RecogniseStage(config, no_fetch, ["v1"]), planned(tmp_path, film, OWN), tmp_path / "film")
    store = Store(str(tmp_path / "site"))
    facts = {"media_path": "", "duration_s": 13.0, "caption_tracks": []}
    videos = [a_video_row("v1", language="en", **facts), a_video_row("other", language="es", **facts)]
    commit_rows(store, "extract", "v1", {"videos": videos})
    stage = RecogniseStage(config, fetch)
    outputs = {}
    for unit in stage.units(store):
        assert unit.is_fetched
        (scratch := tmp_path / unit.name).mkdir()
        stage.prepare(unit, context := Context(store, scratch, time.monotonic() + 600))
        outputs[unit.name] = stage.process(unit, context)
    texts = [said_in(output.rows["heard"][0]["words"], *SPANS[1]) for output in (outputs["v1"], in_film)]
    assert len(texts[0].split()) > 5 and share_heard(*texts) > 0.85, "and its times are those of the film"
    assert [reject.reason for reject in outputs["other"].rejects] == [Reason.NO_CAPTIONS]
    assert fetched == ["v1"], "what the model does not know is not fetched"


WORDS = st.lists(st.tuples(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.integers(1, 2000)), min_size=2, max_size=60)


@given(WORDS)
def test_the_track_of_what_is_heard_has_its_words_and_their_starts(said: list[tuple[str, int]]) -> None:
    ends = list(accumulate(length for _, length in said))
    words: list[WordRow] = [
        {"text": text, "start_ms": end - length, "end_ms": end, "timed": True}
        for (text, length), end in zip(said, ends, strict=True)
    ]
    row = caption_row({"video_id": "v", "heard_by": "a model", "language": "en", "words": words})
    track = read_track(row["payload"], format=row["format"], kind=row["kind"], language=row["language"])
    assert [word.text for word in track.words] == [text for text, _ in said]
    if not track.false_times:  # drawn words may last equally long, as those of a translated track do
        assert [word.start_ms for word in track.words] == [word["start_ms"] for word in words]
