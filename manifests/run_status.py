"""status.json at the top of an output directory: a run's status, written by the driver every few seconds and at
its end.

It is read leniently: unknown fields are ignored, a damaged file counts as missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

STATUS_NAME = "status.json"

State = Literal["running", "draining", "ended"]

VERSION = 2
"""Of status.json and `status --json`: raised when a field goes or changes its meaning; new ones may come any time."""

STALE_S = 60.0
"""A run that has not written its status for this many seconds, and has not ended, is considered dead."""


class StageStatus(BaseModel):
    """The progress in this run of all stages with one name (for media, all batches). Rejects: this run's, by reason."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: str
    done_before: int = 0
    """Units committed by earlier runs."""
    done: int = 0
    known: int = 0
    """Units taken up by this run so far; more may follow."""
    total: int = 0
    """Units planned so far, including those of earlier runs; 0: unknown until they are taken up."""
    in_flight: int = 0
    seconds: float = 0.0
    """How long at least one stage of the name was under way."""

    rejects: dict[str, int] = Field(default_factory=dict)
    rejects_before: dict[str, int] = Field(default_factory=dict)
    """Rejects of earlier runs, by reason, except those of units that were taken up again."""
    losses: dict[str, int] = Field(default_factory=dict)
    """Attempts that ended without a verdict, by machine and kind."""

    bytes: int = 0
    """Bytes of the files that this run committed."""
    rows: dict[str, int] = Field(default_factory=dict)
    """Rows that this run committed, by table."""

    def with_others(self, others: Sequence[StageStatus]) -> StageStatus:
        """Combines this stage with others of its name that ran after or beside it, such as the next batches."""
        rejects, losses, rows = Counter(self.rejects), Counter(self.losses), Counter(self.rows)
        for further in others:
            rejects.update(further.rejects)
            rows.update(further.rows)
            losses.update(further.losses)
        stages = (self, *others)
        is_planned = all(stage.total for stage in stages)
        return self.model_copy(
            update={
                "done": sum(stage.done for stage in stages),
                "known": sum(stage.known for stage in stages),
                "total": self.total + sum(further.total - further.done_before for further in others)
                if is_planned
                else 0,
                "in_flight": sum(stage.in_flight for stage in stages),
                "seconds": max(stage.seconds for stage in stages),
                "rejects": dict(rejects),
                "losses": dict(losses),
                "bytes": sum(stage.bytes for stage in stages),
                "rows": dict(rows),
            }
        )

    @property
    def per_hour(self) -> float:
        """Units an hour of this run, of the hours in which some were under way."""
        return self.done * 3600 / self.seconds if self.seconds > 0 else 0.0


class RunStatus(BaseModel):
    """A run's state at `updated_at` (seconds since 1970, by the clock of the driver's machine)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = VERSION
    state: State = "running"
    host: str = ""
    pid: int = 0
    started_at: float = 0.0
    updated_at: float = 0.0
    detail: str = ""
    """Why it is draining, or how it ended."""
    exit_code: int = 0
    stages: tuple[StageStatus, ...] = ()
    """In the order in which they began. Several can be under way at once: those with units in flight."""
    rejects_in_force: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Videos rejected as a whole and not superseded, by stage and reason, as of the run's last plan."""
    time_left_s: float | None = None
    """Of the whole run, at `updated_at`; None where nothing says how much there is to do, and once it has ended."""
    loop_lag_s: float = 0.0
    """The longest that the driver's loop was busy between two looks at what has ended, since the status before."""
    planned_at: float = 0.0
    """When something was last planned, and committed, by this run; 0: nothing yet."""
    committed_at: float = 0.0
    requests: dict[str, int] = Field(default_factory=dict)
    """By identity, by this run."""
    cost: float = 0.0
    """By engine.prices, of all runs so far; and the clips that the manifest has."""
    clips: int = 0

    def is_alive(self, now: float) -> bool:
        """Whether the run is considered alive; `now` in seconds since 1970."""
        return self.state != "ended" and now - self.updated_at < STALE_S
