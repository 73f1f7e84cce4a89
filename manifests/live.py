"""Two small files at the top of an output directory: what a run says of itself, and what a person says to it.

    status.json     written by the driver every few seconds and at its end; `hdvila-pipeline status` reads it
    control.json    written by `hdvila-pipeline pause`, `resume`, `identity` and `rates`; the run reads it as it works

Both are read leniently: a field that is unknown is passed over, a file that is damaged counts as absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

STATUS_NAME = "status.json"
CONTROL_NAME = "control.json"

PositiveRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]

State = Literal["running", "paused", "draining", "ended"]

STALE_S = 60.0
"""A run that has not written for so long, and has not said that it ended, is taken for dead."""


class Control(BaseModel):
    """What a person asks of a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    paused: bool = False
    """No new unit is started while this is set; those in flight end."""
    paused_identities: tuple[str, ...] = ()
    """These identities of the crawl ask nothing; the others go on."""
    videos_per_hour: dict[str, PositiveRate] = Field(default_factory=dict)
    """By identity; in place of what the configuration says, as are the next two."""
    identity_requests_per_minute: dict[str, PositiveRate] = Field(default_factory=dict)
    """Of each identity, by kind of request."""
    most_requests_per_minute: dict[str, PositiveRate] = Field(default_factory=dict)
    """Of all identities together, by kind of request."""


class StageStatus(BaseModel):
    """How far the stages of one name are in this run (of media, all batches). Rejects are this run's, by reason."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: str
    done_before: int = 0
    """Units committed by earlier runs."""
    done: int = 0
    known: int = 0
    """Units taken up by this run so far; more may follow."""
    total: int = 0
    """Units that are planned by now, those of earlier runs among them; 0: not known before they are taken up."""
    in_flight: int = 0
    seconds: float = 0.0
    """While at least one stage of the name was under way."""

    rejects: dict[str, int] = Field(default_factory=dict)
    rejects_before: dict[str, int] = Field(default_factory=dict)
    """Those of earlier runs, by reason, but for units that were taken up again."""
    losses: dict[str, int] = Field(default_factory=dict)
    """Attempts that ended without a verdict, by machine and kind."""

    bytes: int = 0
    """Bytes of the files that this run committed."""

    def with_others(self, others: Sequence[StageStatus]) -> StageStatus:
        """This stage together with others of its name that ran after or beside it, such as the next batches."""
        rejects, losses = Counter(self.rejects), Counter(self.losses)
        for other in others:
            rejects.update(other.rejects)
            losses.update(other.losses)
        stages = (self, *others)
        is_planned = all(stage.total for stage in stages)
        return self.model_copy(
            update={
                "done": sum(stage.done for stage in stages),
                "known": sum(stage.known for stage in stages),
                "total": self.total + sum(other.total - other.done_before for other in others) if is_planned else 0,
                "in_flight": sum(stage.in_flight for stage in stages),
                "seconds": max(stage.seconds for stage in stages),
                "rejects": dict(rejects),
                "losses": dict(losses),
                "bytes": sum(stage.bytes for stage in stages),
            }
        )

    @property
    def eta_s(self) -> float | None:
        """Seconds until the planned units are done at the rate so far; None where that is not known."""
        left = self.total - self.done_before - self.done
        return left / self.per_hour * 3600 if self.total and self.done else None

    @property
    def per_hour(self) -> float:
        """Units an hour of this run."""
        return self.done * 3600 / self.seconds if self.seconds > 0 else 0.0


class RunStatus(BaseModel):
    """A run as it was at `updated_at` (seconds since 1970, by the driver's clock)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: State = "running"
    host: str = ""
    pid: int = 0
    started_at: float = 0.0
    updated_at: float = 0.0
    detail: str = ""
    """Why it drains, or how it ended."""
    exit_code: int = 0
    stages: tuple[StageStatus, ...] = ()
    """In the order in which they began. Several are under way at a time: those with units in flight."""
    rejects_in_force: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Videos that are turned away as a whole and not made up for, by stage and reason, at the run's last plan."""
    storage: str = ""
    """Trouble with the store that is being waited out; "" where there is none."""

    def is_alive(self, now: float) -> bool:
        """Whether the run is taken for alive, `now` in seconds since 1970."""
        return self.state != "ended" and now - self.updated_at < STALE_S
