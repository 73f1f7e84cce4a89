"""KEY.flac and KEY.opus: the clip's audio from its start to its end, made in the decode pass, verified and read."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hdvila_testing.rows import a_clip_row, a_video_row
from hdvila_testing.video import AUDIO_RATE, TICK_S, Film, a_video
from manifests.members import AudioFields
from manifests.sample import DEFAULT_MEMBERS, MEMBER_ORDER, ReadSample, read_sample
from pipeline.media import video
from pipeline.media.cut_files import media_config
from pipeline.media.members.flac import FLAC
from pipeline.media.members.opus import OPUS
from pipeline.media.sample_faults import media_faults
from pipeline.media.video import make_video

SPANS = [(1320, 3400), (3400, 5480)]
"""Each begins at a frame (25 a second), not at a tick; ticks sound at whole seconds."""
SMALL = Film(seconds=6, gop=25, width=320, height=180)
CODECS = ("flac", "opus")
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "a.mp4", SMALL)


def made(path: Path, folder: Path, *settings: str) -> list[Members]:
    folder.mkdir()
    config = media_config(None, ["media.cut.min_short_side=0", "media.scenes.detector=off", *settings])
    clips = [a_clip_row("a", n, start, end) for n, (start, end) in enumerate(SPANS)]
    found = [
        clip.sample.members for clip in make_video(path, a_video_row("a"), clips, config, folder).clips if clip.sample
    ]
    assert len(found) == len(SPANS)
    return [{e: c.read_bytes() if isinstance(c, Path) else c for e, c in sample.items()} for sample in found]


MadeOf = Callable[..., list[Members]]


@pytest.fixture(scope="module")
def made_of(film: Path, tmp_path_factory: pytest.TempPathFactory) -> MadeOf:
    """What the film gives under settings, made once for all tests: `made_of("media.members.audio=flac")`."""
    return cache(lambda *settings: made(film, tmp_path_factory.mktemp("of") / "made", *settings))


def said(sample: Members) -> tuple[ReadSample, AudioFields]:
    document = read_sample(sample["json"])
    return document, AudioFields.model_validate(document.model_extra)


def as_a_player_has_it(data: bytes, path: Path) -> tuple[NDArray[np.float32], int]:
    """The first channel and its rate, from a plain file that names nothing but its content."""
    path.write_bytes(data)
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].codec_context.sample_rate
        plain = av.AudioResampler(format="fltp")
        parts = [part for frame in container.decode(audio=0) for part in plain.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in parts]), rate


def ticks_ms(values: NDArray[np.float32], rate: int) -> list[float]:
    """When each tick begins: the middle of its energy, less half of its length."""
    loud = np.flatnonzero(np.abs(values) > np.abs(values).max() / 4)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > rate // 10) + 1)
    half = round(TICK_S * rate)
    found = []
    for run in runs:
        around = np.arange(max(0, run[0] - half), min(len(values), run[-1] + half))
        power = values[around].astype(np.float64) ** 2
        found.append(float((around * power).sum() / power.sum() / rate - TICK_S / 2) * 1000)
    return found


@pytest.mark.parametrize("audio_rate", ["off", "16000"])
@pytest.mark.parametrize("codec", CODECS)
def test_a_tick_is_where_it_sounds_to_a_millisecond_for_players_and_the_trainer(
    made_of: MadeOf, tmp_path: Path, codec: str, audio_rate: str
) -> None:
    rate_asked = [] if audio_rate == "off" else [f"media.members.audio_rate={audio_rate}"]
    samples = made_of(f"media.members.audio={codec}", *rate_asked)

    for (start_ms, end_ms), sample in zip(SPANS, samples, strict=True):
        ticks = [s * 1000 - start_ms for s in range(7) if start_ms <= s * 1000 < end_ms]
        document, fields = said(sample)
        assert not list(media_faults(document, sample))
        assert (fields.audio_codec, fields.audio_channels) == (codec, 1)
        assert fields.audio_rate == (AUDIO_RATE if audio_rate == "off" else 16_000)

        values, rate = as_a_player_has_it(sample[codec], tmp_path / f"plain.{codec}")
        assert abs(len(values) * 1000 / rate - (end_ms - start_ms)) <= 1
        assert ticks_ms(values, rate) == pytest.approx(ticks, abs=1)


def test_flac_has_the_source_s_own_samples_where_the_container_rounds_its_times(tmp_path: Path) -> None:
    """Noise without loss at 44.1 kHz, in a container whose times are ms: no sample is lost where blocks meet."""
    path, rate = tmp_path / "noise.mkv", 44_100
    noise = np.random.default_rng(3).integers(-20_000, 20_000, (6 * rate, 2), np.int16)
    mute = a_video(tmp_path / "mute.mp4", Film(seconds=6, gop=25, width=320, height=180, audio=""))
    with av.open(str(mute)) as source, av.open(str(path), "w") as out:
        shown = out.add_stream_from_template(source.streams.video[0])
        heard = out.add_stream("flac", rate=rate)
        heard.layout, heard.format = "stereo", "s16"
        frame = av.AudioFrame.from_ndarray(noise.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = rate, 0
        pictures = [packet for packet in source.demux(video=0) if packet.size]
        for packet in pictures:
            packet.stream = shown
        sounds = [*heard.encode(frame), *heard.encode(None)]
        for packet in sorted([*pictures, *sounds], key=lambda p: p.dts * p.time_base):
            out.mux(packet)

    first = made(path, tmp_path / "made", "media.members.audio=flac")[0]

    values, found_rate = as_a_player_has_it(first["flac"], tmp_path / "plain.flac")
    assert (found_rate, said(first)[1].audio_channels) == (rate, 2)
    near, ms = SPANS[0][0] * rate // 1000, rate // 1000
    source_values = noise[:, 0] / 32_768
    errors = [np.abs(values - source_values[at : at + len(values)]).max() for at in range(near - ms, near + ms + 1)]
    assert min(errors) == 0, "the same samples, all of them in one place within a millisecond of theirs"


@pytest.mark.parametrize("codec", CODECS)
def test_a_mute_film_gives_silence_of_the_clip_s_length(tmp_path: Path, codec: str) -> None:
    path = a_video(tmp_path / "mute.mp4", Film(seconds=6, gop=25, width=320, height=180, audio=""))

    for sample in made(path, tmp_path / "made", f"media.members.audio={codec}"):
        document, _ = said(sample)
        values, rate = as_a_player_has_it(sample[codec], tmp_path / f"plain.{codec}")
        assert not document.has_audio and not list(media_faults(document, sample))
        assert len(values) * 1000 == 2080 * rate and not values.any()


def test_off_leaves_bytes_and_json_as_they_were_and_on_only_adds(film: Path, made_of: MadeOf, tmp_path: Path) -> None:
    plain, one = made_of(), made_of("media.members.audio=opus")
    off = made_of("media.members.audio=off", "media.members.audio_rate=16000")
    again = made(film, tmp_path / "again", "media.members.audio=opus")

    assert off == plain and one == again
    assert [tuple(sample) for sample in plain] == [DEFAULT_MEMBERS] * 2
    for before, after in zip(plain, one, strict=True):
        assert set(after) - set(before) == {"opus"} and tuple(after) == tuple(m for m in MEMBER_ORDER if m in after)
        assert all(before[name] == after[name] for name in before if name != "json")
        assert after["json"].startswith(before["json"][:-1]), "what the member adds comes last"


def test_audio_comes_of_the_one_decode_pass(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_second_reading(*_: object) -> None:
        raise AssertionError("the audio was read by itself")

    monkeypatch.setattr(video, "decode_audio", no_second_reading)

    assert all("flac" in sample for sample in made(film, tmp_path / "made", "media.members.audio=flac"))


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_one_is_named_by_verify(made_of: MadeOf, codec: str) -> None:
    first = made_of(f"media.members.audio={codec}")[0]
    document, whole = read_sample(first["json"]), first[codec]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    other = "opus" if codec == "flac" else "flac"
    of_other = made_of(f"media.members.audio={other}")[0][other]

    for damaged in (b"no sound", b"", whole[: len(whole) // 2], bytes(flipped), of_other):
        faults = list(media_faults(document, {**first, codec: damaged}))
        assert any(fault.startswith(f"{codec}: ") for fault in faults), damaged[:8]


def coded(samples: NDArray[np.float32] | None, rate: int, duration_ms: int, audio_rate: int | None = None) -> Any:
    wanted = [] if audio_rate is None else [f"media.members.audio_rate={audio_rate}"]
    return FLAC.make((samples, rate), duration_ms, media_config(None, wanted))


@pytest.mark.parametrize(
    ("n_channels", "rate", "audio_rate", "told"),
    [
        (2, 44_100, None, (44_100, 2, 22_050)),
        (2, 44_100, 16_000, (16_000, 1, 8000)),
        (1, 16_000, 16_000, (16_000, 1, 8000)),
        (0, 1, None, (48_000, 1, 24_000)),
        (0, 1, 16_000, (16_000, 1, 8000)),
    ],
)
def test_audio_has_the_source_s_rate_and_channels_or_the_rate_asked_for_in_mono(
    n_channels: int, rate: int, audio_rate: int | None, told: tuple[int, int, int]
) -> None:
    samples = np.full((n_channels, rate), 0.25, np.float32) if n_channels else None
    made_of_it = coded(samples, rate, 500, audio_rate)
    fields = AudioFields.model_validate(made_of_it.fields)
    assert (fields.audio_rate, fields.audio_channels, fields.audio_samples) == told
    document: Any = SimpleNamespace(model_extra=made_of_it.fields, duration_ms=500)
    assert not list(FLAC.faults(document, made_of_it.data))


def test_opus_counts_at_48_khz_where_no_rate_is_asked_for() -> None:
    loud = np.full((2, 4410), 0.25, np.float32)
    for wanted, told in [("off", (48_000, 2)), ("16000", (16_000, 1))]:
        config = media_config(None, [f"media.members.audio_rate={wanted}"])
        fields = AudioFields.model_validate(OPUS.make((loud, 44_100), 100, config).fields)
        assert (fields.audio_rate, fields.audio_channels) == told


def test_audio_shorter_than_its_clip_ends_in_silence_and_what_is_too_loud_is_clipped(tmp_path: Path) -> None:
    loud = np.concatenate([np.full((1, 800), 2.0), np.full((1, 800), -2.0), np.full((1, 800), 0.5)], axis=1)
    values, _ = as_a_player_has_it(coded(loud.astype(np.float32), 8000, 500).data, tmp_path / "a.flac")
    assert len(values) == 4000 and not values[2400:].any()
    assert values[:800].min() == 32_767 / 32_768 and values[800:1600].max() == -1 and (values[1600:2400] == 0.5).all()


def test_what_the_json_says_of_audio_is_held_against_it() -> None:
    made_of_it = coded(np.full((1, 8000), 0.25, np.float32), 8000, 500)

    def found(duration_ms: int = 500, **changes: object) -> list[str]:
        document: Any = SimpleNamespace(model_extra={**made_of_it.fields, **changes}, duration_ms=duration_ms)
        return list(FLAC.faults(document, made_of_it.data))

    assert found() == found(501) == found(499) == []
    assert found(502) == ["flac: 4000 samples are -2 ms off the clip's length"]
    assert found(498) == ["flac: 4000 samples are +2 ms off the clip's length"]
    assert found(audio_codec="opus") == ["flac: the json says its codec is opus"]
    assert found(audio_channels=2) == ["flac: has 1 channels, the json says 2"]
    assert found(audio_samples=4001) == ["flac: 4000 samples at 8000 Hz decode, the json counts 4001 at 8000 Hz"]
    assert [fault[:5] for fault in found(audio_samples=3999)] == ["flac:"]
    assert found(audio_rate=None) == ["flac: the json does not describe it"]
