"""What can be made again goes as a whole, and nothing else with it."""

from pathlib import Path

from manifests.files import Files
from pipeline.outdir.remade import forget_alike


def test_what_is_kept_for_plans_is_forgotten_as_a_whole(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    for what in ("pictures", "texts"):
        files.write(f"alike/{what}/00000/items.parquet", b"x")
        files.write(f"alike/{what}/00000-8/0.parquet", b"x")
    files.write("batches/00000.json", b"{}")
    forget_alike(files)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["00000.json"]
    forget_alike(files)
