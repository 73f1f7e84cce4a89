"""Faults: what is done to requests of a kind, and the book that decides which of them applies to a request.

`FaultBook` counts requests, so that a fault can last for a number of requests or of extractions, or until `relent`.
"""

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: what is done to requests of a kind.

    `where`: home, search, browse (pages of channels and playlists), watch, player, embed, captions, media or data_api.
    `effect`: "status" (with `status`), "reset" (RST), "stall" (nothing until the client leaves), "drop" (half
        the body, then close), "drip" (a few bytes a second), "empty" (200; no bytes, or JSON without contents),
        "html" (a consent page), "unknown_layout" (for lists), "repeat" (of a search: page 1 and more to come),
        "no_videos_tab" (of a channel), "logged_out" (a page for a guest, whatever the cookies), "rotated" (the same,
        and it clears the login's cookie), or for the player the name of a refusal in
        `innertube.REFUSALS`, "other_id", "sabr", "drm", "joint_only" (only the 360p file with audio as a format),
        "kids_client" (only the embedded and TV players get it), "challenge" (media URLs have one that the player's
        script solves; for the watch page: it leaves out what else is read in that script). For captions also "cut"
        (half of the file). For watch, player, captions and media together "trimmed" (a film without its first 5 s) and
        "shrinking" (without 2 s more at each extraction), for the player "reencoded" (all sizes differ). For the
        data_api also the name of an error in `data_api.ERRORS`, "cut", "items_missing", "no_items" or
        "hostile".
        "redirect" leads to `location`.
    `requests`: how many matching requests it lasts for; `extractions`: how many extractions of the video (a new
        one begins with the first watch page after a player's answer); None in both: until `relent`. `extracted`: how
        many extractions pass first.
    `after`: how many matching requests pass first. `page`: page of a list, from 1. `streams`: for media, "video"
        and/or "audio". `identity`: only for clients that come through the proxy under this user name.
    """

    where: str
    effect: str
    status: int = 0
    location: str = ""
    requests: int | None = None
    extractions: int | None = None
    extracted: int = 0
    after: int = 0
    page: int | None = None
    streams: tuple[str, ...] = ("video", "audio", "progressive")
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """The facts of a request that decide which faults apply."""

    where: str
    video_id: str = ""
    page: int = 1
    stream: str = ""
    generation: int = 0
    identity: str = ""


class FaultBook:
    """Decides which fault, if any, applies to a request. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._site: list[Fault] = []
        self._hits: Counter[tuple[str, Fault]] = Counter()
        self._healed: set[str] = set()
        self._generations: Counter[str] = Counter()
        self._asked_player: set[str] = set()

    def misbehave(self, *faults: Fault) -> None:
        """Adds faults to the whole site from now on."""
        with self._guard:
            self._site.extend(faults)

    def relent(self, video_id: str = "") -> None:
        """Ends the site's faults, or those of one video."""
        with self._guard:
            if video_id:
                self._healed.add(video_id)
            else:
                self._site.clear()

    def begin_extraction(self, video_id: str) -> int:
        """Returns the number, from 1, of the extraction that a watch page belongs to.

        A new one begins only after a player request: another request for the watch page is a retry of the same.
        """
        with self._guard:
            if video_id in self._asked_player or not self._generations[video_id]:
                self._generations[video_id] += 1
                self._asked_player.discard(video_id)
            return self._generations[video_id]

    def note_player(self, video_id: str) -> int:
        """Records a player request and returns the number of its extraction."""
        with self._guard:
            self._asked_player.add(video_id)
        return self.generation(video_id)

    def generation(self, video_id: str) -> int:
        """The number of a video's last extraction (1 if none has begun with a watch page)."""
        return max(1, self._generations[video_id])

    def meet(self, asked: SiteRequest, faults: tuple[Fault, ...]) -> Fault | None:
        """Returns the fault that applies to a request, first of the video's own, then of the site's, and counts it."""
        with self._guard:
            own = () if asked.video_id in self._healed else faults
            for scope, fault in [(asked.video_id, f) for f in own] + [("", f) for f in self._site]:
                if _matches(fault, asked) and self._is_on(scope, fault, asked):
                    return fault
        return None

    def _is_on(self, scope: str, fault: Fault, asked: SiteRequest) -> bool:
        if 0 < asked.generation <= fault.extracted:
            return False
        if fault.extractions is not None and asked.generation > fault.extractions:
            return False
        self._hits[scope, fault] += 1
        n = self._hits[scope, fault] - fault.after
        return n > 0 and (fault.requests is None or n <= fault.requests)


def _matches(fault: Fault, asked: SiteRequest) -> bool:
    return (
        fault.where == asked.where
        and (fault.page is None or fault.page == asked.page)
        and (not asked.stream or asked.stream in fault.streams)
        and (fault.identity is None or fault.identity == asked.identity)
    )
