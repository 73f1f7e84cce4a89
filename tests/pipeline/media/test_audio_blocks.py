"""The audio side of a decode pass: which packets are decoded, which are skipped, when nothing more is to be heard."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av

from pipeline.media.audio_blocks import LATE_MS, Listener, Wanted

SOURCE: Any = SimpleNamespace(zero_s=Fraction(0))


class Track:
    """A track of audio at 48 kHz on a clock of milliseconds: packets of 20 ms with one frame each."""

    def __init__(self, **broken: Any) -> None:
        self.time_base, self.flushed, self.broken = Fraction(1, 1000), 0, broken
        self.discard: Any = None
        self.codec_context = SimpleNamespace(flush_buffers=self._flush)

    def _flush(self) -> None:
        self.flushed += 1

    def packet(self, pts: int | None, duration: int | None = 20) -> Any:
        def decode() -> list[Any]:
            if self.broken.get("at") == pts:
                raise av.error.InvalidDataError(1, "damaged")
            rate = 0 if self.broken.get("rate") == pts else 48_000
            return [SimpleNamespace(pts=pts, samples=960, sample_rate=rate), SimpleNamespace(pts=None, samples=960)]

        return SimpleNamespace(pts=pts, duration=duration, decode=decode)


def listener(track: Track, *wanted: tuple[int, int], until_ms: int = 10_000) -> Listener:
    made = Listener(track, SOURCE, [Wanted(*span) for span in wanted])
    made.begin(until_ms)
    return made


def heard(listening: Listener, track: Track, *times: int | None) -> list[tuple[int, int, bool]]:
    """(tick, end, whether there is audio) of what the packets at these times give."""
    blocks = [block for pts in times for block in listening.decode(track.packet(pts))]
    return [(block.tick, block.end_tick, block.frame is not None) for block in blocks]


def test_packets_of_what_is_wanted_are_decoded_those_that_only_touch_it_too() -> None:
    track = Track()
    assert heard(listener(track, (100, 200)), track, 59, 79, 80, 100, 180, 199, 200, 220, None) == [
        (80, 100, True),
        (100, 120, True),
        (180, 200, True),
        (199, 219, True),
        (200, 200, False),
    ]


def test_what_comes_first_after_a_wanted_part_is_told_once_without_audio() -> None:
    track = Track()
    found = heard(listener(track, (100, 140), (400, 440)), track, 100, 120, 140, 160, 400, 420, 440, 460)
    assert [tick for tick, _, is_audio in found if is_audio] == [100, 120, 400, 420]
    assert [tick for tick, _, is_audio in found if not is_audio] == [140, 440]
    assert track.flushed == 2, "the decoder begins anew at each part"


def test_what_is_over_is_not_decoded_any_more() -> None:
    track = Track()
    parts = [Wanted(100, 200), Wanted(150, 400)]
    listening = Listener(track, SOURCE, parts)
    listening.begin(1000)
    assert heard(listening, track, 100) == [(100, 120, True)]
    parts[0].is_over = True
    assert heard(listening, track, 120, 140) == [(120, 120, False), (140, 160, True)]
    parts[1].is_over = True
    assert heard(listening, track, 160, 180) == [(160, 160, False)]


def test_a_damaged_packet_gives_nothing_and_one_of_no_rate_no_length() -> None:
    track = Track(at=120, rate=140)
    assert heard(listener(track, (100, 200)), track, 100, 120, 140) == [(100, 120, True), (140, 140, True)]
    assert listener(track, (100, 200)).decode(track.packet(90, None)) == []
    assert len(listener(track, (100, 200)).decode(track.packet(100, None))) == 1


def test_nothing_more_is_to_be_heard_where_all_is_over_or_later_or_too_late_to_come() -> None:
    parts = [Wanted(100, 500), Wanted(2000, 2500)]
    listening = Listener(Track(), SOURCE, parts)
    listening.begin(1000)
    assert not listening.is_done_by(600)
    assert not listening.is_done_by(1000 + LATE_MS) and listening.is_done_by(1000 + LATE_MS + 1)
    parts[0].is_over = True
    assert listening.is_done_by(0), "the next part belongs to the next stretch"
    listening.begin(2000)
    assert listening.is_done_by(0), "it ends as that part begins"
    listening.begin(2001)
    assert not listening.is_done_by(0)
    parts[1].is_over = True
    assert listening.is_done_by(0)
