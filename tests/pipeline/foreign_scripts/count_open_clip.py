"""Prints (samples, shards) of a brace expression of tars as open_clip counts them.

PYTHONPATH=<folder with open_clip_torch> python foreign_scripts/count_open_clip.py 'DIR/shards/train/{00000..00003}.tar'
"""

import json
import sys

from open_clip_train.data import get_dataset_size

print(json.dumps(get_dataset_size(sys.argv[1])))
