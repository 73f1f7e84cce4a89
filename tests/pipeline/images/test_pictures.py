"""Pictures: put on white, upright, small enough, and none from outside the folder."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from manifests.reasons import Reason
from pipeline.images.pictures import Folder, PictureRejected, make_picture
from tests.pipeline.images.published import jpeg


def png(size: tuple[int, int], colour: Any, mode: str = "RGBA") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return out.getvalue()


def test_transparent_pictures_are_put_on_white_and_large_ones_made_smaller() -> None:
    made = make_picture(png((200, 100), (0, 0, 0, 0)), max_side=100)
    picture = Image.open(io.BytesIO(made.jpeg))
    assert picture.size == (made.width, made.height) == (100, 50)
    assert (made.original_width, made.original_height) == (200, 100)
    assert picture.getpixel((50, 25)) == (255, 255, 255)


def test_a_turned_picture_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = make_picture(jpeg((64, 48), exif=exif))
    assert (made.width, made.height) == (48, 64)


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    header = bytearray(png((64, 64), (1, 2, 3, 255)))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(PictureRejected) as caught:
        make_picture(bytes(header))
    assert caught.value.reason in (Reason.IMAGE_TOO_LARGE, Reason.IMAGE_BROKEN)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg"])
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    (tmp_path / "in").mkdir()
    with pytest.raises(PictureRejected):
        Folder(tmp_path / "in").read(name)
