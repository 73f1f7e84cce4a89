"""The members of a sample: one table. How a member is made is in a file of pipeline/media/members/ that names it.

The order in the tar, the keys `media.members.*`, the data card and the verification follow from it.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from manifests.checks import Setting


class MelFields(BaseModel):
    """What a log-mel spectrogram adds to KEY.json. Present only where the data set has the member."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    mel_rate: int
    """Sample rate of the audio that it was made of, Hz."""
    mel_bins: int
    mel_hop_ms: float
    """Column k is centred at k * mel_hop_ms from the clip's start."""
    mel_frames: int


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """`switch` is the key that turns it on ("": always there). `fields`: what it adds to KEY.json where it is on."""

    extension: str
    what: str
    switch: str = ""
    default: bool = True
    doc: str = ""
    settings: tuple[Setting, ...] = ()
    fields: type[BaseModel] | None = None


MEMBERS = (
    MemberFacts("mp4", "the clip, 720p, video and audio as in the source"),
    MemberFacts("txt", "the sentence, UTF-8"),
    MemberFacts("json", "everything known of the clip, one type a key, never null"),
    MemberFacts(
        "m4v",
        "low-resolution copy of exactly the clip's frames (an mp4)",
        switch="proxy",
        doc="make KEY.m4v, the low-resolution copy of exactly the clip's frames",
    ),
    MemberFacts(
        "mjpg",
        "high-resolution stills, JPEGs end to end; frame numbers, times and byte offsets in the json",
        switch="stills",
        doc="make KEY.mjpg, JPEG stills at short side 720",
    ),
    MemberFacts(
        "mel.npy",
        "log-mel spectrogram of the clip's audio: a numpy array, float16, bins x frames, natural logarithm of power",
        switch="mel",
        default=False,
        doc="make KEY.mel.npy, a log-mel spectrogram of the clip's audio",
        settings=(
            Setting("mel_bins", 80, "bins of the spectrogram", {"ge": 8, "le": 256}),
            Setting("mel_rate", 16_000, "sample rate of the audio that it is made of, Hz", {"ge": 8000, "le": 48_000}),
            Setting("mel_hop_ms", 10, "time from one column to the next, ms", {"ge": 1, "le": 1000}),
        ),
        fields=MelFields,
    ),
)
"""In the order in which a sample's members stand in the tar."""
