"""Colours: the proxy, the still and the source agree, whatever matrix, range, depth and sampling the source has."""

import io
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hdvila_testing.rows import a_clip_row, a_video_row
from pipeline.config.media import MediaConfig
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.video import make_video
from train.data.decode import decode_sample
from train.data.video import read_frames
from train.data.views import Views

PATCHES = (
    (200, 30, 40),
    (30, 190, 60),
    (40, 50, 210),
    (230, 220, 40),
    (128, 128, 128),
    (240, 240, 240),
    (20, 20, 20),
    (180, 120, 90),
)
"""RGB of eight flat patches, four in a row."""

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Luma weights of red and blue: ITU-R BT.601, BT.709, BT.2020."""

TAGS = {"bt601": 6, "bt709": 1, "bt2020": 9}


@dataclass(frozen=True)
class Source:
    """A kind of source. `tagged`: the stream names its matrix."""

    matrix: str
    full: bool = False
    depth: int = 8
    sampling: str = "420"
    rotation: int = 0
    tagged: bool = True

    def __str__(self) -> str:
        range_ = "full" if self.full else "limited"
        return (
            f"{self.matrix}-{range_}-{self.depth}-{self.sampling}-{self.rotation}-{'' if self.tagged else 'un'}tagged"
        )


SOURCES = (
    Source("bt601"),
    Source("bt709"),
    Source("bt2020"),
    Source("bt709", tagged=False),
    Source("bt601", full=True),
    Source("bt709", full=True),
    Source("bt2020", full=True),
    Source("bt709", depth=10),
    Source("bt2020", depth=10),
    Source("bt709", sampling="444"),
    Source("bt709", sampling="444", depth=10, full=True),
    Source("bt709", rotation=90),
    Source("bt601", rotation=180),
    Source("bt2020", full=True, rotation=270),
)


def yuv_of(rgb: tuple[int, int, int], source: Source) -> tuple[int, int, int]:
    """Y, Cb, Cr of a colour, by the standards' own formulas."""
    kr, kb = KR_KB[source.matrix]
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    scale = 2 ** (source.depth - 8)
    if source.full:
        top = 2**source.depth - 1
        return round(y * top), round(cb * top + 128 * scale), round(cr * top + 128 * scale)
    return round((16 + 219 * y) * scale), round((128 + 224 * cb) * scale), round((128 + 224 * cr) * scale)


def planes(source: Source, width: int, height: int) -> list[NDArray[Any]]:
    dtype = np.uint8 if source.depth == 8 else np.uint16
    full = np.zeros((3, height, width), dtype)
    for i, rgb in enumerate(PATCHES):
        rows, columns = divmod(i, 4)
        y, x = (
            slice(rows * height // 2, (rows + 1) * height // 2),
            slice(columns * width // 4, (columns + 1) * width // 4),
        )
        for plane, value in zip(full, yuv_of(rgb, source), strict=True):
            plane[y, x] = value
    step = 2 if source.sampling == "420" else 1
    return [full[0], full[1][::step, ::step], full[2][::step, ::step]]


def write_film(path: Path, source: Source, width: int, height: int) -> Path:
    """75 equal frames at 25 fps, nearly lossless."""
    pixel_format = f"yuv{source.sampling}p" + ("10le" if source.depth == 10 else "")
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        context.options = {"preset": "ultrafast", "crf": "4"}
        if source.tagged:
            context.colorspace = TAGS[source.matrix]
        context.color_range = 2 if source.full else 1
        audio: Any = container.add_stream("aac", rate=48000)
        frame = av.VideoFrame(width, height, pixel_format)
        for plane, values in zip(frame.planes, planes(source, width, height), strict=True):
            rows = np.zeros((values.shape[0], plane.line_size // values.itemsize), values.dtype)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        for i in range(75):
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 3 * 48000), np.float32), "fltp", "mono")
        quiet.sample_rate = 48000
        container.mux(audio.encode(quiet))
        container.mux(audio.encode(None))
    if not source.rotation:
        return path
    turned = path.with_name(f"turned-{path.name}")
    command = [
        find_ffmpeg(),
        "-v",
        "error",
        "-display_rotation",
        str(-source.rotation % 360),
        "-i",
        str(path),
        "-c",
        "copy",
        str(turned),
    ]
    subprocess.run(command, check=True, timeout=60)
    return turned


def members_of(film: Path, scratch: Path, source: Source, mode: str = "remux") -> dict[str, bytes]:
    """The members of the one clip of a film, made as a run makes them."""
    config = MediaConfig.model_validate(
        {
            "cut": {"mode": mode, "min_short_side": 0, "convert": source.sampling == "444"},
            "scenes": {"detector": "off"},
            "checks": {"silence": "ignore", "still_picture": "ignore"},
        }
    )
    row = a_clip_row("colours", 0, 200, 2600)
    scratch.mkdir()
    made = make_video(film, a_video_row("colours"), [row], config, scratch)
    (clip,) = made.clips
    assert clip.sample is not None, (clip.reason, clip.detail)
    return {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in clip.sample.members.items()}


def means(picture: NDArray[np.uint8], rotation: int) -> NDArray[np.float64]:
    """Mean RGB in the middle of each patch, the picture turned back first."""
    picture = np.rot90(picture, k=rotation // 90)
    height, width = picture.shape[:2]
    found = []
    for i in range(8):
        row, column = divmod(i, 4)
        y, x = height * (2 * row + 1) // 4, width * (2 * column + 1) // 8
        found.append(
            picture[y - height // 16 : y + height // 16, x - width // 32 : x + width // 32].reshape(-1, 3).mean(0)
        )
    return np.array(found)


def by_ffmpeg(data: bytes, folder: Path) -> NDArray[np.uint8]:
    (folder / "proxy.mp4").write_bytes(data)
    command = [
        find_ffmpeg(),
        "-v",
        "error",
        "-i",
        "proxy.mp4",
        "-frames:v",
        "1",
        "-pix_fmt",
        "rgb24",
        "-f",
        "rawvideo",
        "-",
    ]
    raw = subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(raw, np.uint8).reshape(by_pyav(data, folder).shape)


def by_pyav(data: bytes, folder: Path) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def by_decord(data: bytes, folder: Path) -> NDArray[np.uint8]:
    return read_frames(data, [0], "decord")[0]


class Films:
    """A film of each kind of source and the members of its remuxed clip, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drawn: dict[Source, Path] = {}
        self._made: dict[Source, dict[str, bytes]] = {}

    def film(self, source: Source) -> Path:
        if source not in self._drawn:
            size = (640, 360) if source.tagged else (1280, 720)  # by its size a player guesses what is not told
            self._drawn[source] = write_film(self.folder / f"{source}.mp4", source, *size)
        return self._drawn[source]

    def remuxed(self, source: Source) -> dict[str, bytes]:
        if source not in self._made:
            self._made[source] = members_of(self.film(source), self.folder / f"of {source}", source)
        return self._made[source]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.mktemp("colours"))


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_reader_sees_the_colours_of_the_source(films: Films, source: Source, tmp_path: Path) -> None:
    members, truth = films.remuxed(source), np.array(PATCHES, float)

    for read in (by_pyav, by_decord, by_ffmpeg):
        error = np.abs(means(read(members["m4v"], tmp_path), source.rotation) - truth).mean()
        assert error <= 1.5, f"{read.__name__}: {error:.2f} grey levels"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_still_and_proxy_of_one_moment_agree_for_the_trainer(films: Films, source: Source) -> None:
    whole = (360, 640) if source.rotation % 180 == 0 else (640, 360)
    views = Views(high=whole, low=(whole[0] // 4 * 2, whole[1] // 4 * 2), n_frames=3, n_segments=1, stride=2)

    hybrid = decode_sample(films.remuxed(source), "prepared", views, None)

    high = hybrid.img_middle[0].astype(float).mean((1, 2))
    low = hybrid.img_other[0, 0].astype(float).mean((1, 2))
    assert np.abs(high - low).max() <= 2.0


READ_AS_THEY_ARE = [s for s in SOURCES if s.depth == 8 or s.sampling == "444"]


@pytest.mark.parametrize("source", READ_AS_THEY_ARE, ids=str)
def test_a_copied_clip_shows_the_colours_of_the_source(films: Films, source: Source) -> None:
    assert colours_off(films.remuxed(source)["mp4"]) <= 2.0


@pytest.mark.parametrize("source", READ_AS_THEY_ARE[::2], ids=str)
def test_an_encoded_clip_shows_the_colours_of_the_source(films: Films, source: Source, tmp_path: Path) -> None:
    members = members_of(films.film(source), tmp_path / "scratch", source, "exact")

    assert colours_off(members["mp4"]) <= 2.0


def colours_off(mp4: bytes) -> float:
    """Mean error of a whole clip's patches; it is turned by neither mode: players do, by the display matrix."""
    return float(np.abs(means(read_frames(mp4, [5])[5], 0) - np.array(PATCHES)).mean())


def test_films_of_rgb_show_their_colours(tmp_path: Path) -> None:
    """HEVC and VP9 hold RGB too, and say so as a matrix of its own, which no YCbCr has."""
    film, height, width = tmp_path / "film.mp4", 360, 640
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25, options={"preset": "ultrafast", "crf": "4"})
        stream.width, stream.height, stream.pix_fmt = width, height, "gbrp"
        stream.codec_context.options = {"x265-params": "log-level=none"}
        patches = np.array(PATCHES, np.uint8).reshape(2, 4, 3).repeat(height // 2, 0).repeat(width // 4, 1)
        for i in range(75):
            frame = av.VideoFrame.from_ndarray(patches, format="rgb24").reformat(format="gbrp")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    for mode in ("remux", "exact"):
        members = members_of(film, tmp_path / mode, Source("bt601"), mode)
        still = cv2.imdecode(np.frombuffer(members["mjpg"], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        shown = [read_frames(members["m4v"], [0])[0], read_frames(members["mp4"], [5])[5], still]
        for picture in shown:
            assert np.abs(means(picture, 0) - np.array(PATCHES)).mean() <= 2.5  # libswscale's own rounding: 2.3
