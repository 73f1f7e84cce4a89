"""The configuration of a run: a single YAML, every key documented, assembled from one file per area.

`RunConfig` is imported only when it is first used: `cut` reads the media section alone, and can finish before all areas
have been imported.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config.run_config import RunConfig

__all__ = ["RunConfig"]


def __getattr__(name: str) -> Any:
    if name != "RunConfig":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.config.run_config import RunConfig

    return RunConfig
