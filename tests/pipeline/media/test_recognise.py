"""The stage that listens to videos without captions."""

import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.rows import a_video_row, commit_rows
from manifests.reasons import Reason
from manifests.rows import WordRow
from manifests.sample import RECOGNISED
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Rejected
from pipeline.media.recognise import RecogniseStage, caption_row
from pipeline.text.captions import read_track
from tests.pipeline.media.recogniser_model import model_folder
from tests.pipeline.media.stage_runs import no_fetch


def config_of(model: str) -> MediaConfig:
    return MediaConfig.model_validate({"heard": {"model": model}, "cut": {"min_short_side": 0}})


def planned(tmp_path: Path, film: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    row = a_video_row("v1", media_path=str(film), duration_s=13.0, language="en", caption_tracks=[])
    commit_rows(store, "folder", "v1", {"videos": [row]})
    return store


def process(stage: Any, store: Store, scratch: Path) -> Output:
    scratch.mkdir()
    [unit] = stage.units(store)
    output: Output = stage.process(unit, Context(store, scratch, time.monotonic() + 600))
    return output


def copy_audio(film: Path, sound: Path) -> None:
    """Copies the audio of a film into a file of its own."""
    with av.open(str(film)) as source, av.open(str(sound), "w", format="mp4") as target:
        track = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)


@pytest.fixture
def film(samples: Path) -> Path:
    return samples / "videos" / "torchcodec__nasa_13013.mp4"


def test_without_a_recogniser_a_video_is_rejected_as_such(film: Path, tmp_path: Path) -> None:
    config = config_of(str(tmp_path))  # an empty folder, or not even the extra
    with pytest.raises(Rejected) as deaf:
        process(RecogniseStage(config, no_fetch), planned(tmp_path, film), tmp_path / "hear")
    assert deaf.value.reason is Reason.NO_RECOGNISER


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

    in_film = process(RecogniseStage(config, no_fetch), planned(tmp_path, film), tmp_path / "film")
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
    apart, beside = (
        {(w["text"], w["start_ms"] // 500) for w in o.rows["heard"][0]["words"]} for o in (outputs["v1"], in_film)
    )
    assert len(apart) > 15 and len(apart & beside) > 0.8 * len(beside), "and its times are those of the film"
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
