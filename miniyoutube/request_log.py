"""Records who asked for what, when, and the answer: to prove politeness, and that nothing was asked for twice."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from miniyoutube.answers import Json


@dataclass(slots=True)
class LoggedRequest:
    """One request. Times are `time.monotonic()` seconds; `ended_s` is 0.0 while the answer is still being sent.

    `kind`: home, search, browse, watch, player, embed, next, resolve, captions, media, thumbnail, script, data_api,
    other or refused (a host that is not the site's). `identity` is the user name that the client gave to the proxy.
    `generation` is the extraction that a media URL is from. `fault` is the effect that was applied, "" for none.
    """

    at_s: float
    host: str
    method: str
    path: str
    query: dict[str, str]
    kind: str
    body: Json = field(default_factory=dict)
    client: str = ""
    video_id: str = ""
    identity: str = ""
    visitor: str = ""
    itag: str = ""
    range: str = ""
    generation: int = 0
    fault: str = ""
    status: int = 0
    bytes_sent: int = 0
    ended_s: float = 0.0


class RequestLog:
    """Requests in order of arrival, in memory and (given a path) as JSON lines. Thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        self._requests: list[LoggedRequest] = []
        self._guard = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def begin(self, request: LoggedRequest) -> None:
        """Records a request before it is answered."""
        with self._guard:
            self._requests.append(request)

    def finish(self, request: LoggedRequest) -> None:
        """Writes an answered request to the file."""
        if self._file is None:
            return
        line = json.dumps(asdict(request), ensure_ascii=False)
        with self._guard:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        with self._guard:
            if self._file is not None:
                self._file.close()

    def clear(self) -> None:
        """Forgets the requests so far (the file keeps them)."""
        with self._guard:
            self._requests.clear()

    def __iter__(self) -> Iterator[LoggedRequest]:
        with self._guard:
            return iter(self._requests.copy())

    def __len__(self) -> int:
        return len(self._requests)

    def of(self, *kinds: str, video_id: str = "") -> list[LoggedRequest]:
        """Requests of these kinds (all if none is given) and, if its id is given, of one video."""
        return [r for r in self if (not kinds or r.kind in kinds) and (not video_id or r.video_id == video_id)]

    def refused_hosts(self) -> list[str]:
        """Requested hosts that are not the site's: a crawl must have none."""
        return sorted({r.host for r in self if r.kind == "refused"})

    def per_video(self) -> dict[str, Counter[str]]:
        """Number of requests by kind for each video."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for request in self:
            if request.video_id:
                counts[request.video_id][request.kind] += 1
        return dict(counts)

    def gaps_s(self, *kinds: str) -> list[float]:
        """Seconds between neighbouring requests of these kinds, in order of arrival."""
        times = sorted(request.at_s for request in self.of(*kinds))
        return [later - earlier for earlier, later in pairwise(times)]

    def peak_rate(self, *kinds: str, window_s: float = 1.0) -> int:
        """The largest number of requests of these kinds that began within any window of that length."""
        times = sorted(request.at_s for request in self.of(*kinds))
        peak, first = 0, 0
        for last, time_s in enumerate(times):
            while times[first] <= time_s - window_s:
                first += 1
            peak = max(peak, last - first + 1)
        return peak

    def bytes_of(self, video_id: str) -> int:
        """Bytes of media sent for a video."""
        return sum(request.bytes_sent for request in self.of("media", video_id=video_id))

    def where(self, holds: Callable[[LoggedRequest], bool]) -> list[LoggedRequest]:
        """Requests for which a predicate holds."""
        return [request for request in self if holds(request)]
