"""One video's work: cuts, clips that fail, time limits."""

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from hdvila_testing.frame_code import read_frame_code
from hdvila_testing.readers import codes_by_pyav
from hdvila_testing.video import a_video
from manifests.reasons import Reason
from manifests.schema import TABLES, table_of
from pipeline.engine.work.unit import Rejected
from pipeline.media.probe import Starved
from pipeline.media.sample_faults import media_faults
from tests.pipeline.media.small_films import made
from tests.pipeline.media.stage_runs import ANY_SIZE, SMALL, process, samples_of

_STAY = "media.cut.borders=planned"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "film.mp4", seconds=8, gop=50, cuts=(80,), **SMALL)


def test_scene_cuts_are_kept_for_the_video_and_for_the_clip(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path)
    assert output.facts["scene_cuts_ms"] == [3200]
    cuts = [json.loads(sample.scene_cuts) for sample, _ in samples_of(output)]
    assert cuts == [[], [700], []]
    assert "crosses_scene_cut" in output.rows["packs"][1]["flags"]


@pytest.mark.parametrize(
    ("action", "spans"),
    [
        ("drop", {0: (0, 2800), 2: (3600, 7950)}),
        ("split", {0: (0, 2800), 2: (3600, 7950), 3: (3200, 5200)}),
        ("snap", {0: (0, 3200), 1: (2200, 5200), 2: (3200, 7950)}),
    ],
)
def test_what_a_scene_cut_does_to_a_clip_is_configured(
    film: Path, tmp_path: Path, action: str, spans: dict[int, tuple[int, int]]
) -> None:
    config = ANY_SIZE | {"scenes": {"action": action}}
    output = process(film, tmp_path, spans=[(0, 2800), (2200, 5200), (3600, 7950)], config=config)
    made = {row["n"]: (row["start_ms"], row["end_ms"]) for row in output.rows["packs"] if row["status"] == "success"}
    assert {n: made[n] for n in spans} == spans
    if action == "drop":
        assert output.rejects[0].reason is Reason.ACROSS_SCENE_CUT
        assert output.rejects[0].clip_id == "v1.1"
    if action == "split":
        parts = {sample.clip_id: sample for sample, _ in samples_of(output)}
        words = parts["v1.1"].text.split() + parts["v1.3"].text.split()
        assert words == ["these", "are", "the", "words", "of", "clip", "1"]


def test_a_clip_that_fails_costs_only_itself(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path, spans=[(0, 2000), (60_000, 62_000)])
    good, bad = output.rows["packs"]
    assert (good["status"], bad["status"], bad["reason"]) == ("success", "failed", "span_outside")
    assert [(r.clip_id, r.reason) for r in output.rejects] == [("v1.1", Reason.SPAN_OUTSIDE)]
    assert len(samples_of(output)) == 1
    table_of(output.rows["packs"], TABLES["packs"])


def test_a_video_without_a_good_clip_makes_no_pack_and_says_so(film: Path, tmp_path: Path) -> None:
    output = process(film, tmp_path, spans=[(60_000, 62_000)])
    assert not output.files
    assert [(r.clip_id, r.reason) for r in output.rejects] == [
        ("v1.0", Reason.SPAN_OUTSIDE),
        ("", Reason.SPAN_OUTSIDE),
    ], "the one reason that all its clips have is the video's own"


def test_a_video_below_720p_is_rejected_whole(film: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        process(film, tmp_path, config={})
    assert caught.value.reason is Reason.BELOW_720P


def test_without_members_scenes_and_checks_nothing_is_decoded(film: Path, tmp_path: Path) -> None:
    from pipeline.media.cut_files import ONLY_CLIPS, media_config

    config = media_config(None, [*ONLY_CLIPS, "media.cut.min_short_side=0"]).model_dump()
    output = process(film, tmp_path, config=config)
    assert "decode" not in output.facts["cpu_s"]
    for sample, members in samples_of(output):
        assert set(members) == {"mp4", "txt", "json"}
        assert (sample.proxy_width, sample.stills) == (0, "[]")


EXPECTED = {  # what becomes of each sample with the default settings: "ok", or its reason
    "LatentSync__demo1_video.mp4": "ok",
    "Panda-70M__0idSKtn42WY.2.mp4": "below_720p",
    "convolution-integral___97.ts": "ok",
    "decord__corrupted.mp4": "decode_errors",
    "imageio-binaries__cockatoo.mp4": "unsupported_media",
    "interactive-examples__friday.mp4": "below_720p",
    "media__bear-vp9-odd-dimensions.webm": "below_720p",
    "media__edit_list_positive_shift.mp4": "ok",
    "media__hdr10-av1.mp4": "hdr",
    "media__hlg10-color-test.mp4": "hdr",
    "media__sample.avi": "below_720p",
    "media__sample.flv": "ok",
    "media__sample_mdat_too_long.mp4": "ok",
    "media__sample_partially_fragmented.mp4": "ok",
    "mediabunny__cursed-vfr.mp4": "ok",
    "mediabunny__multiple-aac-tracks.mp4": "not_a_video",
    "mediabunny__no-initial-keyframe.ts": "below_720p",
    "mediabunny__rotate-buck-bunny.mp4": "ok",
    "metadata-extractor-images__FLIR_Thermal.mp4": "ok",
    "metadata-extractor-images__Sony_ILCE-7M3_A7M3_.mts": "interlaced",
    "moviepy__no_duration.webm": "ok",
    "moviepy__video_with_failing_audio.mp4": "below_720p",
    "mp4parse-rust__invalid_userdata.mp4": "truncated",
    "mp4parse-rust__minimal.mp4": "below_720p",
    "nodejs-docs-samples__ForBiggerEscapes.mp4": "ok",
    "nodejs-docs-samples__googlework_short.mp4": "below_720p",
    "normal-distribution-probability-problems___65.ts": "ok",
    "simpl__av1-2018-06_550.webm": "ok",
    "torchcodec__nasa_13013.mp4": "below_720p",
    "video2dataset__test_video.mp4": "ok",
}


LATER = (
    "LatentSync__demo1_video.mp4",
    "normal-distribution-probability-problems___65.ts",
    "video2dataset__test_video.mp4",
)
"""Samples of a kind of which another is looked at anyway."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long if n in LATER else ()) for n in EXPECTED])
def test_every_sample_is_right_or_rejected_with_its_own_reason(samples: Path, tmp_path: Path, name: str) -> None:
    path = samples / "videos" / name
    spans = [(100, 4500)] if name != "media__edit_list_positive_shift.mp4" else [(2000, 4500)]
    short = {"media__sample.flv", "media__sample_mdat_too_long.mp4", "media__sample_partially_fragmented.mp4"}
    if name in short:
        spans = [(100, 900)]
    if name == "mediabunny__rotate-buck-bunny.mp4":
        spans = [(200, 1900)]
    try:  # without scenes only the clip is decoded: the longest sample has two minutes
        output = process(path, tmp_path, spans=spans, config={"scenes": {"detector": "off"}})
    except Rejected as fault:
        assert fault.reason.value == EXPECTED[name]
        return
    (row,) = output.rows["packs"]
    assert (row["reason"] or "ok") == EXPECTED[name], row["error_message"]
    for sample, members in samples_of(output) if row["status"] == "success" else []:
        assert not list(media_faults(sample, members))


@pytest.mark.parametrize(
    "size", [(1280, 720), pytest.param((1920, 1080), marks=pytest.mark.long)], ids=["720p60", "1080p60"]
)
def test_sixty_frames_a_second_come_out_frame_for_frame(tmp_path: Path, size: tuple[int, int]) -> None:
    """The clip, the proxy of every second frame, the stills and the scene cut, by the numbers in the pictures."""
    shape = {"width": size[0], "height": size[1]}
    film = a_video(tmp_path / "film.mp4", seconds=2.1, fps=Fraction(60), gop=45, cuts=(80,), **shape)
    output = process(film, tmp_path, spans=[(500, 2000)], config={"cut": {"borders": "planned"}})
    ((sample, members),) = samples_of(output)

    files = {name: tmp_path / f"clip.{name}" for name in ("mp4", "m4v")}
    for name, file in files.items():
        file.write_bytes(members[name])
    codes = codes_by_pyav(files["mp4"])
    assert codes[sample.first_frame : sample.first_frame + sample.n_frames] == list(range(30, 120))
    assert (sample.proxy_step, codes_by_pyav(files["m4v"])) == (2, list(range(30, 120, 2)))
    assert output.facts["scene_cuts_ms"] == [80 * 1000 // 60]
    for still in json.loads(sample.stills):
        jpeg = np.frombuffer(members["mjpg"], np.uint8)[still["offset"] : still["offset"] + still["size"]]
        assert read_frame_code(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)) == 30 + still["frame"]


def test_pictures_whose_times_go_back_reject_the_clip(tmp_path: Path) -> None:
    """Damaged times that each are possible: the decoder gives a frame with a time before that of the last one."""
    whole, damaged = a_video(tmp_path / "whole.mp4", seconds=6, gop=25, **SMALL), tmp_path / "damaged.mp4"
    with av.open(str(whole)) as read, av.open(str(damaged), "w") as written:
        stream = read.streams.video[0]
        copy = written.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in read.demux(stream) if packet.dts is not None):
            if number == 55:
                packet.pts += 7 * packet.duration // 2
            packet.stream = copy
            written.mux(packet)

    result, samples = made(damaged, tmp_path / "scratch")

    bad, good = result.clips
    assert bad.reason is Reason.DECODE_ERRORS and "no later than the one before" in bad.detail
    assert good.reason is None and len(samples) == 1


@pytest.mark.parametrize("settings", [[_STAY, "media.cut.mode=exact"], [_STAY, "media.scenes.action=split"], []])
def test_a_busy_machine_gives_a_video_back_whatever_it_was_doing(
    settings: list[str], film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the unit's time limit, which is a verdict the second time: all steps share the wall clock."""
    monkeypatch.setattr("pipeline.media.work_limit.WALL_FACTOR", 0.0)
    monkeypatch.setattr("pipeline.media.decode_pass.WorkLimit.check", lambda clock: pytest.fail("it went on"))

    with pytest.raises(Starved, match=r"(cutting|looking for scenes|listening) got"):
        made(film, tmp_path / "scratch", *settings)
