"""What holds for any caption file, made-up or damaged: no word lost or tripled, times in order, no odd exception."""

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text.captions import BrokenTrack, read_track

WORDS = st.lists(st.from_regex(r"[a-z]{1,9}[.,?]?", fullmatch=True), min_size=1, max_size=7)
ROWS = st.lists(st.tuples(WORDS, st.integers(0, 900), st.integers(30, 700)), min_size=1, max_size=14)


def clock(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def timed_row(words: list[str], start: int, step: int) -> str:
    return words[0] + "".join(f"<{clock(start + step * k + k % 2 * 7)}><c> {w}</c>" for k, w in enumerate(words[1:], 1))


def rolling(rows: list[tuple[list[str], int, int]]) -> tuple[str, list[str]]:
    """A rolling vtt as the platform writes it, and the words in it."""
    cues, said, above, now = ["WEBVTT\nKind: captions\nLanguage: en"], [], " ", 1000
    for words, gap, step in rows:
        if gap > 500:
            now += gap
            above = " "
        end = now + step * len(words) + 20
        cues.append(f"{clock(now)} --> {clock(end)} align:start position:0%\n{above}\n{timed_row(words, now, step)}")
        plain = " ".join(words)
        if gap <= 500:
            cues.append(f"{clock(end)} --> {clock(end + 10)}\n{plain}\n ")
        said, above, now = said + words, plain, end + 10
    return "\n\n".join(cues) + "\n", said


@settings(max_examples=40)
@given(ROWS)
def test_a_rolling_track_gives_every_word_once_in_order(rows: list[tuple[list[str], int, int]]) -> None:
    text, said = rolling(rows)
    words = read_track(text.encode(), format="vtt").words
    assert [word.text for word in words] == said
    assert all(a.start_ms <= b.start_ms and a.end_ms <= b.start_ms for a, b in itertools.pairwise(words))
    assert all(word.start_ms <= word.end_ms for word in words)


EVENTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.one_of(st.none(), st.integers(-500, 10**5)), WORDS, st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40)
@given(EVENTS)
def test_json3_keeps_every_word_whatever_its_times(rows: list[tuple[int, int | None, list[str], bool]]) -> None:
    events = []
    for start, duration, words, stamped in rows:
        segs = [
            {"utf8": (" " if k else "") + w} | ({"tOffsetMs": 40 * k} if stamped else {}) for k, w in enumerate(words)
        ]
        events.append({"tStartMs": start, "segs": segs} | ({} if duration is None else {"dDurationMs": duration}))
    words = read_track(json.dumps({"events": events}).encode()).words
    assert sorted(word.text for word in words) == sorted(w for _, _, ws, _ in rows for w in ws)
    assert all(a.start_ms <= b.start_ms for a, b in itertools.pairwise(words))
    assert all(0 <= word.start_ms <= word.end_ms for word in words)


CUES = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(-2000, 9000), WORDS, st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=40)
@given(CUES)
def test_srt_keeps_every_word_of_cues_in_any_order(cues: list[tuple[int, int, list[str], bool]]) -> None:
    blocks = []
    for n, (start, length, words, split) in enumerate(cues, 1):
        body = " ".join(words) if not split else "\n".join([words[0], " ".join(words[1:])]).rstrip("\n")
        times = f"{clock(start)} --> {clock(max(start + length, 0))}".replace(".", ",")
        blocks.append(f"{n}\n{times}\n{body} w{n}")
    words = read_track("\n\n".join(blocks).encode()).words
    assert sorted(w.text for w in words) == sorted(
        [w for _, _, ws, _ in cues for w in ws] + [f"w{n + 1}" for n in range(len(cues))]
    )
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(words))


@settings(max_examples=80)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_words_or_one_clear_reject(data: bytes) -> None:
    for prefix in (b"", b"WEBVTT\n\n00:01.000 --> 00:02.000\n", b'{"events":[', b"<transcript>"):
        try:
            track = read_track(prefix + data)
        except BrokenTrack as error:
            assert error.detail
        else:
            assert all(word.text.strip() == word.text != "" for word in track.words)


@settings(max_examples=30)
@given(ROWS, st.integers(0, 4000), st.booleans())
def test_a_damaged_track_never_raises_anything_but_a_reject(
    rows: list[tuple[list[str], int, int]], at: int, cut: bool
) -> None:
    data = rolling(rows)[0].encode()
    at %= len(data)
    damaged = data[:at] if cut else data[:at] + b"<\xff&" + data[at + 2 :]
    try:
        words = read_track(damaged).words
    except BrokenTrack:
        return
    assert all(a.start_ms <= b.start_ms for a, b in itertools.pairwise(words))
