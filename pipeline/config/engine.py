"""Settings of how a run is carried out: executor, scratch, storage. All operational: none changes the output."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Secret, field_validator

from manifests.settings import Section, operational


class EngineConfig(Section):
    """Where units run and how long a run tolerates refusals."""

    executor: Literal["local", "ray"] = operational(
        "ray", doc="local: one unit at a time in this process; ray: a cluster"
    )
    ray_address: str = operational("", doc="address of a Ray cluster (auto, ray://host:10001 …); empty: a local Ray")
    n_cpus: int = operational(0, ge=0, doc="CPU slots of a local Ray; 0: all cores")
    downloads: int = operational(
        0, ge=0, doc="videos fetched at a time, over all machines; fetching takes no CPU slot; 0: twice the CPU slots"
    )
    waiting_bytes: int = operational(
        32 * 1024**3,
        ge=1,
        doc="limit of fetched videos on one machine's scratch disk, bytes; beyond it, nothing more is fetched there",
    )
    scratch: Path | None = operational(
        None, doc="folder for each worker's current unit; empty: hdvila-scratch-UID in the system's temporary folder"
    )
    outage_s: float = operational(
        1800.0, ge=0, doc="how long a run waits for a bucket that does not answer before it ends, seconds"
    )
    storage_options: Secret[dict[str, Any]] = operational(
        Secret({}), doc="fsspec options of the output's bucket (endpoint_url, key …); never logged"
    )

    @field_validator("scratch")
    @classmethod
    def _absolute(cls, scratch: Path | None) -> Path | None:
        return scratch.absolute() if scratch else None
