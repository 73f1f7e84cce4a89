"""Text clean-up for all caption formats: bytes to text, entities, spaces, tags."""

import html
import re

from pipeline.engine.work.boundary import plain
from pipeline.text.captions.track import BrokenTrack

MAX_BYTES = 8 * 1024 * 1024
"""Larger caption files are refused: ten hours of json3 are about 10 MB, and five hours of any track are read."""
MAX_MARKS = {"{": 300_000, "[": 300_000, ",": 750_000, "<": 500_000, "\n": 250_000}
"""How often each mark may occur in a file of any format: nine hours of talk have less than half of each.

The memory that parsing takes grows with these and not with the file's size: 16 MB of `{},` took gigabytes.
"""

_ENDLESS = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{7,});?")
"""Character references beyond Unicode, replaced since Python refuses to read numbers of more than 4,300 digits."""
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\x00"), None)
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u202f\u2002\u2003\u2009\u3000\t\x0b\x0c"), " ")
_CLEAN = {**_INVISIBLE, **_SPACES, ord("\u2028"): "\n", ord("\u2029"): "\n"}
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>|<[/a-zA-Z\d][^<>\n]*$|\{\\[^{}\n]*\}")


def decode_text(data: bytes) -> str:
    """Decodes the file to text with `\\n` line ends. Raises BrokenTrack for an empty, binary or undecodable file."""
    if not data.strip():
        raise BrokenTrack("the caption file is empty")
    if len(data) > MAX_BYTES:
        raise BrokenTrack(f"the caption file has {len(data)} bytes; the limit is {MAX_BYTES}")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    else:
        text = data.decode("utf-8-sig", errors="replace")
    if "\x00" in text[:4096]:
        raise BrokenTrack("the caption file is binary, not text")
    if text.count("\ufffd") > 2 + len(text) // 200:
        raise BrokenTrack("the caption file is not UTF-8 text")
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    for mark, most in MAX_MARKS.items():
        if (n := text.count(mark)) > most:
            raise BrokenTrack(f"the caption file has {n} {mark!r} characters; the limit is {most}")
    if text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        raise BrokenTrack("the caption file is an HTML page")
    return text


def unescape(text: str) -> str:
    """Decodes entities, at most twice; normalises odd spaces, drops invisible characters."""
    if "&" in text:
        text = html.unescape(_ENDLESS.sub("\ufffd", text))
        if "&" in text:
            text = html.unescape(_ENDLESS.sub("\ufffd", text))
    if text.isascii() and "\t" not in text and "\x00" not in text:
        return text
    return plain(text.translate(_CLEAN))


def strip_tags(text: str) -> str:
    """Removes markup tags and srt override codes. `a < b` stays: a tag starts with a letter."""
    return _TAG.sub("", text) if "<" in text or "{" in text else text
