"""Reads picture files from a folder or a ZIP archive, checks them and makes JPEGs. They are untrusted.

Names never lead out of the folder, sizes are limited before a picture is decoded, and only the formats below are
opened.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image, ImageOps, UnidentifiedImageError

from manifests.errors import UserError
from manifests.reasons import Reason

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MIN_SIDE = 32
"""Pixels; SOHO's limit too."""
MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 100 * 2**20
JPEG_QUALITY = 95
WHITE = (255, 255, 255)


class PictureRejected(Exception):
    """A picture that cannot be used: a reason and a detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it goes into a shard."""

    jpeg: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    sha256: str
    """Hash of the original file."""


class Archive(Protocol):
    """A source of picture files."""

    def read(self, name: str) -> bytes:
        """Reads a file by the name given in the captions. Raises PictureRejected."""


def open_archive(path: Path) -> Archive:
    """Opens the folder or ZIP archive at a path. Raises UserError if it is neither."""
    if path.is_dir():
        return Folder(path)
    if path.is_file() and zipfile.is_zipfile(path):
        return Zip(path)
    raise UserError(f"{path}: not a folder or a .zip archive of pictures")


class Folder:
    """Files under a folder; at any depth if their bare name is unique."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._by_name: dict[str, Path | None] | None = None

    def read(self, name: str) -> bytes:
        """See Archive."""
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root):
                raise PictureRejected(Reason.IMAGE_MISSING, "its name leads out of the folder")
            if not path.is_file():
                path = self._elsewhere(PurePosixPath(name).name) or path
            if path.stat().st_size > MAX_FILE_BYTES:
                raise PictureRejected(Reason.IMAGE_TOO_LARGE, f"more than {MAX_FILE_BYTES // 2**20} MiB")
            return path.read_bytes()
        except OSError as error:
            raise PictureRejected(Reason.IMAGE_MISSING, error.strerror or "cannot be read") from None
        except ValueError:  # a NUL or a lone surrogate
            raise PictureRejected(Reason.IMAGE_MISSING, "no file can have such a name") from None

    def _elsewhere(self, name: str) -> Path | None:
        if self._by_name is None:
            self._by_name = {}
            for path in sorted(self._root.rglob("*")):
                if path.is_file() and path.resolve().is_relative_to(self._root):
                    self._by_name[path.name] = None if path.name in self._by_name else path
        return self._by_name.get(name)


class Zip:
    """Members of a ZIP archive; in any folder if their bare name is unique. Nothing is unpacked to disk."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self._by_name: dict[str, zipfile.ZipInfo | None] = {}
        for info in self._archive.infolist():
            name = PurePosixPath(info.filename).name
            self._by_name[name] = None if name in self._by_name else info

    def read(self, name: str) -> bytes:
        """See Archive."""
        try:
            info = self._archive.getinfo(name)
        except KeyError:
            member = self._by_name.get(PurePosixPath(name).name)
            if member is None:
                raise PictureRejected(Reason.IMAGE_MISSING, "no such member, or several of this name") from None
            info = member
        if info.file_size > MAX_FILE_BYTES:
            raise PictureRejected(Reason.IMAGE_TOO_LARGE, f"more than {MAX_FILE_BYTES // 2**20} MiB")
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
            raise PictureRejected(Reason.IMAGE_BROKEN, f"cannot be unpacked ({error})") from None


def make_picture(data: bytes, *, max_side: int = 0) -> Picture:
    """Makes an RGB JPEG of a file's bytes. Raises PictureRejected.

    A JPEG that is RGB, upright and not too large stays byte for byte; anything else is rotated upright, put on white if
    transparent, scaled down if a side exceeds `max_side` (0: never), and encoded at quality 95.
    """
    picture, kept = _decode(data)
    size = picture.size
    if min(size) < MIN_SIDE:
        raise PictureRejected(Reason.IMAGE_TOO_SMALL, f"{size[0]}x{size[1]}, a side below {MIN_SIDE} pixels")
    sha256 = hashlib.sha256(data).hexdigest()
    if kept and not (max_side and max(size) > max_side):
        return Picture(data, *size, *size, sha256)
    picture = _on_white(picture)
    if max_side and max(size) > max_side:
        scale = max_side / max(size)
        picture = picture.resize((max(1, round(size[0] * scale)), max(1, round(size[1] * scale))), Image.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return Picture(out.getvalue(), *picture.size, *size, sha256)


def _decode(data: bytes) -> tuple[Image.Image, bool]:
    """(the upright picture, whether the file can stay as it is)."""
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)  # noqa: TID251 - one format
        if opened.width * opened.height > MAX_PIXELS:
            raise PictureRejected(Reason.IMAGE_TOO_LARGE, f"{opened.width}x{opened.height} pixels")
        opened.load()
        upright = ImageOps.exif_transpose(opened)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise PictureRejected(Reason.IMAGE_BROKEN, f"none of {', '.join(FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, ZeroDivisionError) as error:
        raise PictureRejected(Reason.IMAGE_BROKEN, f"cannot be decoded ({type(error).__name__})") from None
    turned = upright.size != opened.size or opened.getexif().get(0x0112, 1) != 1
    return upright, opened.format == "JPEG" and opened.mode == "RGB" and not turned


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    layered = picture.convert("RGBA")
    ground = Image.new("RGBA", layered.size, (*WHITE, 255))
    return Image.alpha_composite(ground, layered).convert("RGB")
