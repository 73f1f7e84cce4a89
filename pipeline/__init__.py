"""The pipeline's Python API: what a program, or a package that adds a step, may import.

    run_pipeline(RunConfig(out=..., ...))       cut_files(video, spans, out, ...)        read_table(url, "clips")
    Check, Member, Source, Stage                steps of your own (docs/extending.md), and what they are made of:
    CheckFacts, MemberFacts, Made, Setting, OwnReason, Reject, Resources
    register(group, name, step)                 adds a step without a package, to this process alone

Everything else is not public: any version may move, rename or remove it. Names are imported on first use, so that
`import pipeline` (and the command line) stays fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes longer than the rest of what a program imports before it hears signals
if TYPE_CHECKING:
    from typing import Any

_HOMES = {
    "Check": "pipeline.media.checks",
    "CheckFacts": "manifests.checks",
    "Made": "pipeline.media.members",
    "Member": "pipeline.media.members",
    "MemberFacts": "manifests.members",
    "OwnReason": "manifests.reasons",
    "Reject": "pipeline.engine.work.unit",
    "Resources": "pipeline.engine.work.unit",
    "RunConfig": "pipeline.config",
    "Setting": "manifests.members",
    "Source": "pipeline.crawl.sources.registry",
    "Stage": "pipeline.text.added_stage",
    "cut_files": "pipeline.media.cut_files",
    "read_table": "pipeline.engine.store.store",
    "register": "manifests.plugins",
    "run_pipeline": "pipeline.run.road",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
