"""Reads a data set through the `wids` module of webdataset 0.2.111 and prints what it found as JSON.

    PYTHONPATH=<folder with webdataset 0.2.111> python foreign_scripts/read_wids.py DIR/shards/train

Prints {"n": samples, "keys": [...], "first": {member: bytes}} in the order of the index.
"""

import json
import sys
import tempfile

import wids

folder = sys.argv[1]
with tempfile.TemporaryDirectory() as cache:
    data_set = wids.ShardListDataset(f"{folder}/wids.json", cache_dir=cache, transformations=[], keep=False)
    samples = [data_set[i] for i in range(len(data_set))]
    sizes = {name: len(data.read()) for name, data in samples[0].items() if not name.startswith("__")}
    print(json.dumps({"n": len(data_set), "keys": [s["__key__"] for s in samples], "first": sizes}))
