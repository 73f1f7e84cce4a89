"""The XML formats: srv3 (`<p>`/`<s>`, word times), srv2 and srv1 (`<text>`), ttml (`<p begin end>`).

XML comes from the net, so a document that declares a type or entities is refused before it is parsed.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from pipeline.text.captions.markup import unescape
from pipeline.text.captions.track import MAX_MS, BrokenTrack, Piece, Row, Rows

_SPACE_RUN = re.compile(r"[ \t]*\n[ \t\n]*")


def read_xml(text: str) -> Rows:
    """Reads the rows of an srv1, srv2, srv3 or ttml file. Raises BrokenTrack for anything else."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BrokenTrack("the caption file declares a document type or entities; no caption format does")
    try:
        root = ET.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise BrokenTrack(f"the caption file is not complete XML ({error})") from None
    name = _local(root)
    if name == "transcript":
        return Rows(list(_text_rows(root, "start", "dur", 1000.0)), "srv1")
    if name == "timedtext" and root.find(".//text") is not None:
        return Rows(list(_text_rows(root, "t", "d", 1.0)), "srv2")
    if name == "timedtext":
        return _srv3(root)
    if name == "tt":
        return Rows(list(_ttml_rows(root)), "ttml", language=root.get(_XML_LANG, ""))
    raise BrokenTrack(f"the caption file is XML with the root <{name[:40]}>, which no caption format has")


_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def _local(element: ET.Element) -> str:
    """An element's tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _outermost(root: ET.Element, name: str) -> Iterator[ET.Element]:
    """Yields elements of this name in document order, but none inside another of them: cues do not nest.

    So the text of each is read once, and a file of nested cues costs no more than its size.
    """
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if _local(element) == name:
            yield element
        else:
            waiting.extend(reversed(element))


def _number(element: ET.Element, key: str, default: float | None = None) -> float:
    raw = element.get(key)
    if raw is None and default is not None:
        return default
    try:
        value = float(str(raw).replace(",", "."))
    except ValueError:
        value = float("nan")
    if value != value or abs(value) >= MAX_MS:
        raise BrokenTrack(f"<{_local(element)}> has no usable time {key}={raw!r}")
    return value


def _text_rows(root: ET.Element, start: str, duration: str, scale: float) -> Iterator[Row]:
    """srv1 (seconds) and srv2 (ms): one cue per element; after XML decoding, entities are still encoded once more."""
    for element in _outermost(root, "text"):
        text = unescape("".join(element.itertext()))
        if not text.strip():
            continue
        start_ms = round(_number(element, start, 0.0) * scale)
        end_ms = None
        if element.get(duration) is not None:
            end_ms = start_ms + round(_number(element, duration) * scale)
        yield Row(start_ms, end_ms, [Piece(text, start_ms)])


def _srv3(root: ET.Element) -> Rows:
    rows = [row for p in _outermost(root, "p") if (row := _srv3_row(p))]
    automatic = any(p.get("a") for p in root.iter("p"))
    return Rows(rows, "srv3", kind="auto" if automatic else "")


def _srv3_row(p: ET.Element) -> Row | None:
    """Reads one `<p>`: `<s>` are words with a leading space or, pretty-printed, with white space between the tags."""
    start_ms = round(_number(p, "t", 0.0))
    end_ms = start_ms + round(_number(p, "d")) if p.get("d") is not None else None
    pieces: list[Piece] = [Piece(unescape(p.text), start_ms)] if p.text and p.text.strip() else []
    inner = 0
    for s in p:
        if _local(s) == "br":
            pieces.append(Piece("\n", None))
        elif text := unescape("".join(s.itertext())):
            stamped = s.get("t") is not None or not pieces
            inner += bool(pieces) and stamped
            pieces.append(Piece(text, start_ms + round(_number(s, "t", 0.0)) if stamped else None))
        if s.tail:
            pieces.append(Piece(unescape(s.tail) if s.tail.strip() else " ", None))
    if not any(piece.text.strip() for piece in pieces):
        return None
    return Row(start_ms, end_ms, pieces, inner_times=inner)


def _ttml_rows(root: ET.Element) -> Iterator[Row]:
    """ttml: one cue per `<p>`; nested spans are style, `<br/>` a new line. Entities are decoded once more."""
    rate = _ttml_frame_rate(root)
    for p in _outermost(root, "p"):
        text = unescape(_ttml_text(p))
        if not text.strip():
            continue
        start_ms = _ttml_ms(p, "begin", rate)
        end_ms = _ttml_ms(p, "end", rate) if p.get("end") else None
        if end_ms is None and p.get("dur"):
            end_ms = start_ms + _ttml_ms(p, "dur", rate)
        yield Row(start_ms, end_ms, [Piece(text, start_ms)])


def _ttml_text(element: ET.Element) -> str:
    """The text inside an element, however deep its spans are nested."""
    parts = [_SPACE_RUN.sub(" ", element.text or "")]
    inside = [(iter(element), "")]
    while inside:
        children, tail = inside[-1]
        child = next(children, None)
        if child is None:
            inside.pop()
            parts.append(tail)
        elif _local(child) == "br":
            parts += ["\n", _SPACE_RUN.sub(" ", child.tail or "")]
        else:
            parts.append(_SPACE_RUN.sub(" ", child.text or ""))
            inside.append((iter(child), _SPACE_RUN.sub(" ", child.tail or "")))
    return "".join(parts)


def _ttml_frame_rate(root: ET.Element) -> tuple[float, float]:
    """(frames, ticks) per second: ttp:frameRate and ttp:tickRate, by default 30 and 1."""
    rates = {key.rpartition("}")[2]: value for key, value in root.attrib.items()}
    try:
        frames, ticks = float(rates.get("frameRate", 30)), float(rates.get("tickRate", 1))
    except ValueError:
        raise BrokenTrack("the ttml file's frame or tick rate is not a number") from None
    if not (1e-3 < frames < 1e6 and 1e-3 < ticks < 1e12):
        raise BrokenTrack("the ttml file's frame or tick rate is out of range")
    return frames, ticks


_CLOCK = re.compile(r"(\d{1,9}):(\d{1,2}):(\d{1,2}(?:[.,]\d{1,18})?)(?::(\d{1,9}(?:\.\d{1,18})?))?")
_OFFSET = re.compile(r"(\d{1,15}(?:\.\d{1,18})?)(h|ms|m|s|f|t)?")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, None: 1.0}


def _ttml_ms(p: ET.Element, key: str, rate: tuple[float, float]) -> int:
    """Reads a ttml time: a clock time with a fraction or frames, or an offset with a unit."""
    raw = (p.get(key) or "").strip()
    if clock := _CLOCK.fullmatch(raw):
        seconds = (int(clock[1]) * 60 + int(clock[2])) * 60 + float(clock[3].replace(",", "."))
        return _whole_ms(seconds + float(clock[4] or 0) / rate[0], raw)
    offset = _OFFSET.fullmatch(raw)
    if offset is None:
        raise BrokenTrack(f"the ttml file holds text without a usable time ({key}={raw[:40]!r})")
    value, unit = float(offset[1]), offset[2]
    seconds = value / rate[0] if unit == "f" else value / rate[1] if unit == "t" else value * _UNIT_S[unit]
    return _whole_ms(seconds, raw)


def _whole_ms(seconds: float, raw: str) -> int:
    if seconds * 1000 >= MAX_MS:
        raise BrokenTrack(f"the ttml file holds {raw[:40]!r}, which is not a time of a video")
    return round(seconds * 1000)
