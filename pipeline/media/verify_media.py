"""Decodes a sample's media and compares it with its json: the clip itself, and each member by its own rules."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.sample import SampleJson
from pipeline.media.members import member_of
from pipeline.media.members.proxy import video_faults


def media_faults(sample: SampleJson, members: dict[str, bytes]) -> Iterator[str]:
    """Yields what is wrong with the media of a sample."""
    yield from video_faults("mp4", members["mp4"], sample.first_frame + sample.n_frames, None)
    for extension, data in members.items():
        if member := member_of(extension):
            yield from member.faults(sample, data)
