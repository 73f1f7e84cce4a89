"""Reads a folder of our shards with the two deciding files of video2dataset 1.3.0, without its heavy dependencies.

    PYTHONPATH=<folder with video2dataset> python foreign_scripts/read_video2dataset.py DIR/shards/train

Prints {"shards": ids its sharder finds, "done": shards its resume takes as done, "reasons": counts its logger adds up}.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType


def load(name: str) -> ModuleType:
    """Loads one module of video2dataset without its package, whose import needs torch 2.1 and more."""
    folder = next(p for p in map(Path, sys.path) if (p / "video2dataset" / f"{name}.py").is_file())
    spec = importlib.util.spec_from_file_location(name, folder / "video2dataset" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("wandb", ModuleType("wandb"))  # imported by the logger, called only when asked for
    spec.loader.exec_module(module)
    return module


folder = Path(sys.argv[1])
sys.stdout, out = sys.stderr, sys.stdout
sharder = load("output_sharder").OutputSharder(str(folder), "webdataset", done_shards=set())
counter = load("logger").CappedCounter()
done = sorted(int(path.name.split("_")[0]) for path in folder.glob("*_stats.json"))
for path in sorted(folder.glob("*_stats.json")):
    counter.update(load("logger").CappedCounter.load(json.loads(path.read_text())["status_dict"]))
print(json.dumps({"shards": [i for _, i in sharder], "done": done, "reasons": counter.dump()}), file=out)
