"""What looks at videos found of their media, for as long as the addresses last: a fetch of it needs no look of its own.

In memory alone, since the addresses are signed. Where nothing is kept (a killed run, a look of long ago), a fetch looks
again. What is fetched is the same either way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.config.crawl import IdentityConfig
from pipeline.engine.work.scratch import host_name
from pipeline.site.formats import Choice

MAX_AGE_S = 5 * 3600.0
"""Of a look whose addresses do not say when they expire: they last about six hours."""
SPARE_S = 900.0
"""Addresses that expire sooner than this are not worth beginning with."""
MAX_LOOKS = 20_000
"""Some 5 kB each. As many as the candidates of a round, of which the most recent are kept."""
_KEPT = (
    *("id", "title", "duration", "timestamp", "upload_date", "live_status"),
    *("extractor", "extractor_key", "webpage_url", "original_url"),
)
"""What a download needs of an extracted video besides its formats, and what a change shows in."""


@dataclass(frozen=True, slots=True)
class FreshLook:
    """An extracted video without its formats, the chosen ones, and who asked: addresses serve no other.

    `host`: the machine that asked, if the identity has no proxy: each machine may have another address.
    """

    identity: str
    clients: tuple[str, ...]
    host: str
    info: Mapping[str, Any]
    choice: Choice

    @classmethod
    def of(
        cls, info: Mapping[str, Any], choice: Choice, identity: IdentityConfig, clients: tuple[str, ...]
    ) -> "FreshLook":
        """What this look found, as this machine's identity."""
        host = "" if identity.proxy.get_secret_value() else host_name()
        return cls(identity.name, clients, host, {key: info[key] for key in _KEPT if key in info}, choice)

    @property
    def is_from_here(self) -> bool:
        """Whether its addresses serve this machine."""
        return self.host in ("", host_name())

    def expires_at(self, now: float) -> float:
        """When its addresses expire, in seconds since 1970, if it was made now."""
        queries = [parse_qs(urlsplit(str(format_.get("url"))).query) for format_ in self.choice.formats]
        said = [float(query["expire"][0]) for query in queries if query.get("expire", [""])[0].isdecimal()]
        return min([now + MAX_AGE_S, *said])


class FreshLooks:
    """The most recent looks by video id, each taken once."""

    def __init__(self) -> None:
        self._looks: dict[str, tuple[float, FreshLook]] = {}

    def keep(self, video_id: str, look: FreshLook, now: float) -> None:
        """Keeps a look until its addresses expire, or until there are too many; `now` in seconds since 1970."""
        self._looks.pop(video_id, None)
        while len(self._looks) >= MAX_LOOKS:
            del self._looks[next(iter(self._looks))]
        self._looks[video_id] = look.expires_at(now), look

    def take(self, video_id: str, now: float) -> FreshLook | None:
        """The look at a video, if its addresses last for a while; it is not kept any longer."""
        expires_at, look = self._looks.pop(video_id, (0.0, None))
        return look if expires_at - now >= SPARE_S else None
