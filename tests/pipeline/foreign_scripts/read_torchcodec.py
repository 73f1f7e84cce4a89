"""Decodes every film of a folder with torchcodec and prints what it sees as JSON.

    PYTHONPATH=<folder with torchcodec> python foreign_scripts/read_torchcodec.py FOLDER

Prints {film: {"frames": n, "patches": [8][3]}}: mean RGB in the middle of each eighth (two rows of four) of the first,
middle and last frame together. {"error": why} if torchcodec cannot load the machine's FFmpeg libraries.
"""

import json
import sys
from pathlib import Path

try:
    from torchcodec.decoders import VideoDecoder
except (ImportError, OSError, RuntimeError) as error:
    print(json.dumps({"error": str(error)[:300]}))
    sys.exit()

import torch

found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    frames = list(VideoDecoder(str(path)))
    seen = torch.stack([frames[0], frames[len(frames) // 2], frames[-1]]).float().mean(0)
    height, width = seen.shape[1] // 2, seen.shape[2] // 4
    cells = [seen[:, r * height :, c * width :] for r in range(2) for c in range(4)]
    middles = [cell[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] for cell in cells]
    found[path.name] = {"frames": len(frames), "patches": [middle.mean(dim=(1, 2)).tolist() for middle in middles]}
print(json.dumps(found))
