"""Member KEY.flac: the clip's audio, lossless, 16 bits. Code shared with KEY.opus is in audio.py."""

from pipeline.media.members import Member
from pipeline.media.members.audio import Coding

FLAC = Coding("flac", "flac", "flac", "s16", {"compression_level": "5"})

MEMBER = Member("flac", "audio", FLAC.faults, audio=FLAC.make)
