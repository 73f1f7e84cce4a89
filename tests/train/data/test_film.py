"""Video files of any container: each number's own picture, upright, at the rate that is asked for."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hdvila_testing.frame_code import read_frame_code
from hdvila_testing.video import a_video
from manifests.errors import UserError
from train.data import film
from train.data.film import Film, videos_in


def stored(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_come_upright(tmp_path: Path, rotation: int, suffix: str) -> None:
    path = a_video(tmp_path / f"film{suffix}", seconds=1, width=640, height=360, audio="", rotation=rotation)
    with av.open(str(path)) as container:
        asked = round(next(container.decode(video=0)).rotation)

    shown = Film(path).read([0, 7])

    assert asked % 360 == rotation or (-asked) % 360 == rotation, "the film must be a turned one"
    assert shown[7].shape == ((640, 360, 3) if rotation % 180 else (360, 640, 3))
    wanted = np.rot90(stored(path), round(asked / 90))
    assert np.abs(shown[0].astype(int) - wanted).mean() < 8
    assert read_frame_code(np.ascontiguousarray(np.rot90(shown[7], -round(asked / 90)))) == 7


N, RATE = 6, 6
SHADES = [20 + 40 * number for number in range(N)]


def a_file(path: Path) -> Path:
    """Six grey frames at 6 a second; the first 20, each 40 lighter than the one before."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4" if path.suffix.lower() == ".avi" else "libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, shade in enumerate(SHADES):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    return {suffix: a_file(folder / f"film{suffix}") for suffix in (".mp4", ".mkv", ".avi")}


def shown(one: Film, numbers: list[int]) -> list[int]:
    """The source's frame that each number shows."""
    found = one.read(numbers)
    assert list(found) == numbers and all(picture.shape == (48, 64, 3) for picture in found.values())
    return [round((float(picture.mean()) - SHADES[0]) / 40) for picture in found.values()]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize(
    ("fps", "frames"),
    [
        (0, [0, 1, 2, 3, 4, 5]),
        (-1, [0, 1, 2, 3, 4, 5]),
        (6, [0, 1, 2, 3, 4, 5]),
        (60, [0, 1, 2, 3, 4, 5]),
        (4, [0, 2, 3, 4]),
        (3, [0, 2, 4]),
        (1, [0]),
        (0.5, [0]),
    ],
)
def test_numbers_count_frames_at_the_rate_asked_for_and_never_more_than_there_are(
    files: dict[str, Path], suffix: str, fps: float, frames: list[int]
) -> None:
    one = Film(files[suffix], fps)

    assert one.n_frames == len(frames)
    assert shown(one, list(range(one.n_frames))) == frames
    assert shown(one, [one.n_frames - 1]) == frames[-1:]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_number_that_is_not_there_is_named(files: dict[str, Path], suffix: str) -> None:
    with pytest.raises(UserError, match=rf"film\{suffix}: cannot be decoded as {suffix[1:]} .*frame 6"):
        Film(files[suffix]).read([0, N])


@pytest.mark.parametrize(
    ("name", "enough", "message"),
    [("MAX_PACKETS", N, "more than 5 frames"), ("MAX_PIXELS", 64 * 48, "picture of 64x48")],
)
def test_a_film_of_more_frames_or_pixels_than_a_clip_has_is_refused(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, enough: int, message: str
) -> None:
    monkeypatch.setattr(film, name, enough)
    assert Film(files[".mkv"]).n_frames == N
    monkeypatch.setattr(film, name, enough - 1)
    with pytest.raises(UserError, match=message):
        Film(files[".mkv"])


def test_a_file_larger_than_a_clip_is_refused_unread(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    size = files[".mp4"].stat().st_size
    monkeypatch.setattr(film, "MAX_FILE_BYTES", size)
    assert Film(files[".mp4"]).n_frames == N
    monkeypatch.setattr(film, "MAX_FILE_BYTES", size - 1)
    with pytest.raises(UserError, match=r"film\.mp4: is larger than"):
        Film(files[".mp4"])


def test_what_is_no_film_is_named_with_its_cure(tmp_path: Path, files: dict[str, Path]) -> None:
    sound = tmp_path / "sound.mkv"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    (tmp_path / "page.gif").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "playlist.mkv").write_text("#EXTM3U\n")

    for name, message in (
        ("sound.mkv", "no video stream"),
        ("page.gif", r"name ends with \.mp4, .*\.wmv"),
        ("folder.mp4", "no such video file"),
        ("gone.mp4", "no such video file"),
        ("playlist.mkv", "cannot be decoded as mkv"),
    ):
        with pytest.raises(UserError, match=message):
            Film(tmp_path / name)


def test_a_folders_films_are_those_at_any_depth_by_path(tmp_path: Path) -> None:
    for name in ("b.MP4", "a/z.mkv", "a/notes.txt", "a/k.mp4", "a/k.m4v", "d.m4v", "c.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.avi").mkdir()

    found = [path.relative_to(tmp_path).as_posix() for path in videos_in(tmp_path)]
    assert found == ["a/k.mp4", "a/z.mkv", "b.MP4", "c.webm", "d.m4v"], "k.m4v is the proxy of k.mp4"
    with pytest.raises(UserError, match=r"holds no video \(\.mp4, "):
        videos_in(tmp_path / "folder.avi")
