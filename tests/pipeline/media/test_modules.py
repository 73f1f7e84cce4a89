"""A folder that is a registry: every module in it is found, by name."""

from pathlib import Path

from pipeline.media import checks
from pipeline.media.modules import modules_of


def test_every_file_of_the_folder_is_a_module_of_it() -> None:
    found = [module.__name__.rpartition(".")[2] for module in modules_of("pipeline.media.checks")]
    files = {path.stem for path in Path(str(checks.__file__)).parent.glob("*.py")} - {"__init__"}
    assert found == sorted(files)
