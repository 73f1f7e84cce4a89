"""The members of a sample, in a table. How a member is made is in a file of pipeline/media/members/ that names it.

The order in the tar, the keys `media.members.*`, the data card and the verification follow from it. `Setting`, a key of
a member, is that of every other step too.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a step: an identity key of the configuration.

    `bounds`: pydantic's constraints of a number. `choices`: all values it can have, if any of them is a word.
    """

    name: str
    default: float | int | bool | str | tuple[str, ...]
    doc: str
    bounds: dict[str, float] = field(default_factory=dict)
    choices: tuple[str | int, ...] = ()


class MelFields(BaseModel):
    """The fields that a log-mel spectrogram adds to KEY.json. Present only if the data set has this member."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    mel_rate: int
    """Sample rate of the audio it was computed from, Hz."""
    mel_bins: int
    mel_hop_ms: float
    """Column k is centred at k * mel_hop_ms from the clip's start."""
    mel_frames: int


class AudioFields(BaseModel):
    """The fields that separate clip audio adds to KEY.json. Present only if the data set has this member."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    audio_codec: str
    """The codec, "flac" or "opus"; also the member's extension."""
    audio_rate: int
    """Sample rate of the audio that was encoded, Hz. Most Opus decoders output 48,000 whatever this is."""
    audio_channels: int
    audio_samples: int
    """Samples per channel, at audio_rate, once decoders have dropped Opus's pre-skip. Sample k is heard k / audio_rate
    seconds after the clip's start, which is also time 0 of KEY.m4v.
    """


OFF = "off"
"""The value that turns off a switch that has more values than yes and no."""


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """One member. `switch` is the key that turns it on ("": always present). `fields`: what it adds to KEY.json when
    on.

    `value`: the value of the switch that turns it on; "" for a switch that is true or false. Members that share a
    switch exclude each other.
    """

    extension: str
    what: str
    switch: str = ""
    value: str = ""
    default: bool = True
    doc: str = ""
    settings: tuple[Setting, ...] = ()
    fields: type[BaseModel] | None = None

    def is_on(self, members: Any) -> bool:
        """Whether a configuration's section `media.members` turns it on; members without a switch are always on."""
        if not self.switch:
            return True
        setting = getattr(members, self.switch)
        return bool(setting == self.value if self.value else setting)


MEMBERS = (
    MemberFacts("mp4", "the clip, 720p, video and audio as in the source"),
    MemberFacts("txt", "the sentence, UTF-8"),
    MemberFacts("json", "everything known of the clip, one type a key, never null"),
    MemberFacts(
        "m4v",
        "low-resolution copy of the clip's frames, all or each proxy_step-th (an mp4)",
        switch="proxy",
        doc="make KEY.m4v, the low-resolution copy of the clip's frames",
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
        settings=(Setting("mel_bins", 80, "bins of the spectrogram", {"ge": 8, "le": 256}),),
        fields=MelFields,
    ),
    MemberFacts(
        "flac",
        "the clip's audio from start to end, lossless at 16 bits; silence where the source has no audio",
        switch="audio",
        value="flac",
        default=False,
        doc="make a separate file of the clip's audio: flac (KEY.flac, lossless at 16 bits) or opus (KEY.opus)",
        settings=(
            Setting(
                "audio_rate",
                OFF,
                "off: the source's own sample rate and channels (Opus: 48 kHz); 16000: mono at 16 kHz, for speech",
                choices=(OFF, 16_000),
            ),
        ),
        fields=AudioFields,
    ),
    MemberFacts(
        "opus",
        "the clip's audio from start to end, as Opus in Ogg; silence where the source has no audio",
        switch="audio",
        value="opus",
        default=False,
        fields=AudioFields,
    ),
)
"""In the order in which a sample's members are stored in the tar."""


def values_of(switch: str) -> tuple[str, ...]:
    """The values of a switch, OFF first; () for a switch that is true or false."""
    words = tuple(member.value for member in MEMBERS if member.switch == switch and member.value)
    return (OFF, *words) if words else ()


def off_of(switch: str) -> str:
    """The value that turns a switch off, as written in a configuration."""
    return OFF if values_of(switch) else "false"


def settings_of(facts: Any) -> dict[str, Setting]:
    """{key: setting} of an entry of this table or of manifests.checks."""
    return {setting.name: setting for setting in facts.settings}
