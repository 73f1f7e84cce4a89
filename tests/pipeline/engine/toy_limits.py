"""A toy stage with limits of its own."""

from pathlib import Path

from pipeline.engine.work.unit import Resources
from tests.pipeline.engine.toys import ToyStage


def toy(tmp_path: Path, action: str, **resources: float) -> ToyStage:
    (tmp_path / "marks").mkdir(exist_ok=True)
    return ToyStage((("a", action),), tmp_path / "marks", resources=Resources(**resources))  # type: ignore[arg-type]
