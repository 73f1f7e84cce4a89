"""Member KEY.opus: the clip's audio as Opus in Ogg. What is the same for KEY.flac is in audio.py.

Opus counts at 48 kHz inside, whatever it is given; the file says how many samples its decoder makes before the first
(pre-skip) and how many are left out at the end, so that readers give the clip's length to the sample.
"""

from __future__ import annotations

from pipeline.media.members import Member
from pipeline.media.members.audio import Coding

OPUS = Coding(
    "opus",
    "libopus",
    "ogg",
    "flt",
    {"application": "audio", "vbr": "on", "frame_duration": "20", "compression_level": "10"},
    bits_a_channel=48_000,  # the codec's makers call 96 kbit/s stereo near transparent
    only_rate=48_000,
)

MEMBER = Member("opus", "audio", OPUS.faults, audio=OPUS.make)
