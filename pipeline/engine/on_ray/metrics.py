"""How a run is doing, for Prometheus: through Ray's metrics, at the port of the driver's node.

ray_hdvila_units_total{stage}              units committed by this run
ray_hdvila_units_in_flight{stage}          units that workers have now
ray_hdvila_rejects_total{stage, reason}    videos and clips rejected
ray_hdvila_losses_total{stage, what}       attempts that ended without a verdict, by machine and kind
ray_hdvila_bytes_total{stage}              bytes of the files that were committed
ray_hdvila_requests_total{identity}        what the site was asked
ray_hdvila_loop_lag_seconds                how long the driver's loop was busy at a stretch
ray_hdvila_planned_timestamp_seconds, ray_hdvila_committed_timestamp_seconds    when it last was, since 1970
ray_hdvila_time_left_seconds               none while nothing says how much there is to do
ray_hdvila_cost_per_1000_clips             by engine.prices, once there are clips
"""

from collections import Counter as Counts

from ray.util.metrics import Counter, Gauge

from manifests.run_status import RunStatus, StageStatus


class Metrics:
    """Updates the metrics from the progress of stages; adds only what has changed."""

    def __init__(self) -> None:
        self._units = Counter("hdvila_units", "Units committed by this run.", ("stage",))
        self._in_flight = Gauge("hdvila_units_in_flight", "Units given to workers now.", ("stage",))
        self._rejects = Counter("hdvila_rejects", "Videos and clips rejected.", ("stage", "reason"))
        self._losses = Counter("hdvila_losses", "Attempts that ended without a verdict.", ("stage", "what"))
        self._bytes = Counter("hdvila_bytes", "Bytes of the files that were committed.", ("stage",))
        self._requests = Counter("hdvila_requests", "Requests to the site.", ("identity",))
        self._run = {
            name: Gauge(f"hdvila_{name}", doc)
            for name, doc in {
                "loop_lag_seconds": "The longest that the loop was busy at a stretch, lately.",
                "planned_timestamp_seconds": "When something was last planned.",
                "committed_timestamp_seconds": "When units were last committed.",
                "time_left_seconds": "Time left for the whole run.",
                "cost_per_1000_clips": "Cost so far of 1,000 clips.",
            }.items()
        }
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

    def take_run(self, status: RunStatus) -> None:
        """Updates the metrics of the run as a whole; those that are unknown are not there."""
        for identity, n in status.requests.items():
            self._add(self._requests, n, {"identity": identity})
        known = {
            "loop_lag_seconds": status.loop_lag_s,
            "planned_timestamp_seconds": status.planned_at or None,
            "committed_timestamp_seconds": status.committed_at or None,
            "time_left_seconds": status.time_left_s,
            "cost_per_1000_clips": 1000 * status.cost / status.clips if status.clips else None,
        }
        for name, value in known.items():
            if value is not None:
                self._run[name].set(value)

    def _add(self, counter: Counter, now: int, tags: dict[str, str]) -> None:
        key = (counter.info["name"], *tags.values())
        more = now - self._reported[key] if now >= self._reported[key] else now
        self._reported[key] = now
        if more:
            counter.inc(more, tags)
