"""How a run is doing, for Prometheus: through Ray's metrics, at the port of the driver's node.

ray_hdvila_units_total{stage}              units committed by this run
ray_hdvila_units_in_flight{stage}          units that workers have now
ray_hdvila_rejects_total{stage, reason}    videos and clips rejected
ray_hdvila_losses_total{stage, what}       attempts that ended without a verdict, by machine and kind
ray_hdvila_bytes_total{stage}              bytes of the files that were committed
"""

from collections import Counter as Counts

from ray.util.metrics import Counter, Gauge

from manifests.run_status import StageStatus


class Metrics:
    """Updates the metrics from the progress of stages; adds only what has changed."""

    def __init__(self) -> None:
        self._units = Counter("hdvila_units", "Units committed by this run.", ("stage",))
        self._in_flight = Gauge("hdvila_units_in_flight", "Units given to workers now.", ("stage",))
        self._rejects = Counter("hdvila_rejects", "Videos and clips rejected.", ("stage", "reason"))
        self._losses = Counter("hdvila_losses", "Attempts that ended without a verdict.", ("stage", "what"))
        self._bytes = Counter("hdvila_bytes", "Bytes of the files that were committed.", ("stage",))
        self._reported: Counts[tuple[str, ...]] = Counts()

    def take(self, status: StageStatus) -> None:
        """Updates a stage's metrics. A stage that begins again continues its counters."""
        stage = status.stage
        self._in_flight.set(status.in_flight, {"stage": stage})
        self._add(self._units, status.done, {"stage": stage})
        self._add(self._bytes, status.bytes, {"stage": stage})
        for reason, n in status.rejects.items():
            self._add(self._rejects, n, {"stage": stage, "reason": reason})
        for what, n in status.losses.items():
            self._add(self._losses, n, {"stage": stage, "what": what})

    def _add(self, counter: Counter, now: int, tags: dict[str, str]) -> None:
        key = (counter.info["name"], *tags.values())
        more = now - self._reported[key] if now >= self._reported[key] else now
        self._reported[key] = now
        if more:
            counter.inc(more, tags)
