"""Member KEY.opus: the clip's audio as Opus in Ogg. Code shared with KEY.flac is in audio.py.

Internally Opus always counts at 48 kHz. The file says how many samples the decoder has to drop at the start (pre-skip)
and at the end, so that readers return the clip's length to the sample.
"""

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
