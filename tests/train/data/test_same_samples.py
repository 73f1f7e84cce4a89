"""What a run reads at each position stays from version to version: a run that goes on would else see some clips twice.

The order of samples, the frames and stills of a clip, the part of the picture: all that is drawn from a seed. To write
the list anew:

    python -m tests.train.data.test_same_samples > tests/train/data/same_samples.json
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from train.data.crop import Crop, choose_crop, cut_view, full_size, quarter
from train.data.decode import choose_centres, frames_around, low_frames, low_view, nearest_stills
from train.data.picture import PictureView, on_canvas
from train.data.plan import Mixing, Stream, mix, order_of, plan, rank_slice
from train.data.views import Views

LIST = Path(__file__).with_name("same_samples.json")
SIZES = [(1280, 720), (720, 1280), (1920, 1080), (960, 720), (1281, 719), (2560, 1080), (320, 180), (723, 541)]


def an_index(n: int = 97) -> Any:
    random = np.random.default_rng(5)
    shard = np.sort(random.integers(0, 9, n)).astype(np.int32)
    return SimpleNamespace(shard=shard, category=random.integers(0, 4, n).astype(np.int32))


def orders() -> dict[str, Any]:
    index = an_index()
    weights = {0: 1.7, 1: 0.4, 2: 0.0}
    found: dict[str, Any] = {"mix": [int(mix(seed, 3, part)) % 10**9 for seed in (0, 7) for part in (1, 2)]}
    for seed, epoch, window in ((0, 0, 16), (0, 1, 2), (3, 5, 1)):
        name = f"{seed} {epoch} {window}"
        found[name] = plan(index, seed, epoch, Mixing(window)).tolist()
        found[f"{name} weighted"] = plan(index, seed, epoch, Mixing(window, weights)).tolist()
        order = order_of(index, seed, epoch, Mixing(window))
        found[f"{name} slices"] = [order[a:b].tolist() for a, b in ((0, 1), (5, 40), (90, 99))] + [order.at(33)]
    stream = Stream(index, 2, Mixing(3), batch=10)
    found["stream"] = stream[194:414].tolist()
    found["steps"] = [list(stream.locate(10 * step)) for step in range(4, 40, 5)]
    found["epochs"] = [round(stream.epochs_done(step), 6) for step in range(4, 40, 5)]
    found["ranks"] = [[rank_slice(stream, 6, rank, world).tolist() for rank in range(world)] for world in (1, 3, 4)]
    found["last"] = rank_slice(plan(index, 0, 0), 1, 1, 3).tolist()
    return found


def frames() -> list[Any]:
    found: list[Any] = []
    for name in ("hybrid", "high", "low"):
        for n_frames, n_segments, stride, fps in ((7, 2, 12, 0.0), (7, 2, 3, 12.0), (5, 3, 4, 0.0), (4, 1, 2, 10.0)):
            views = Views((160, 256), (40, 64), n_frames, n_segments, stride, view=name, fps=fps)  # type: ignore[arg-type]
            found.append([views.n_other, views.n_pictures, views.has_middle, sorted(views.blank())])
            for n in (1, 2, 5, 13, 40, 73, 76, 300):
                for seed in (None, 0, 1):
                    draw = None if seed is None else np.random.default_rng(seed)
                    centres, step = choose_centres(n, views, draw, 29.97)
                    around = [frames_around(centre, step, n, views) for centre in centres]
                    found.append([centres, round(step, 6), around, low_frames(views, centres, around)])
    return found


def stills() -> list[Any]:
    random = np.random.default_rng(8)
    found = []
    for _ in range(60):
        n = int(random.integers(2, 200))
        held = sorted(int(frame) for frame in random.integers(0, n, int(random.integers(1, 9))))
        wanted = sorted(int(frame) for frame in random.integers(0, n, 2))
        found.append(nearest_stills(wanted, held, float(random.integers(0, 40)), n))
    return found


def pictures() -> dict[str, Any]:
    random = np.random.default_rng(4)
    picture = random.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    crops = []
    for width, height in SIZES:
        for view in ((160, 256), (112, 112), (200, 100), (30, 400)):
            for draw in (None, np.random.default_rng(1), np.random.default_rng(2)):
                crop = choose_crop(width, height, view, draw)
                crops.append([crop.x, crop.y, crop.width, crop.height, crop.times(4).x])
    small = quarter(picture)
    copied = cut_view(picture, Crop(40, 80, 1024, 640), (720, 1280), (640, 1024))
    low = low_view(picture, Crop(10, 20, 256, 160), (720, 1280), (160, 256))
    edges = [quarter(np.full((4, 4, 3), value, np.uint8)).ravel().tolist() for value in (0, 1, 127, 255)]
    canvases = []
    grey = np.full((90, 160, 3), 77, np.uint8)
    for fit in ("pad", "crop"):
        for size in ((64, 64), (50, 200), (160, 40)):
            for seed in (None, 3):
                draw = None if seed is None else np.random.default_rng(seed)
                canvas, valid = on_canvas(grey, size, fit, draw)  # type: ignore[arg-type]
                canvases.append([list(canvas.shape), list(valid), round(float(canvas.mean()), 2)])
    ramp = np.broadcast_to(np.linspace(0, 255, 160)[None, :, None], (90, 160, 3)).astype(np.uint8)
    for seed in range(4):
        zoomed, _ = on_canvas(ramp, (45, 45), "crop", np.random.default_rng(seed))
        canvases.append([round(float(zoomed[:, side].mean()) / 4) for side in (0, -1)])
    return {
        "full": [full_size(*size) for size in SIZES],
        "crops": crops,
        "quarter": [int(small.sum()), small[7, 11].tolist(), small[-1, -1].tolist()],
        "views": [int(copied.sum()), int(low.sum()), low[3, 4].tolist()],
        "edges": edges,
        "canvases": canvases,
        "blank": {name: list(array.shape) for name, array in PictureView((32, 48), "pad").blank().items()},
    }


def everything() -> dict[str, Any]:
    found = {"orders": orders(), "frames": frames(), "stills": stills(), "pictures": pictures()}
    return dict(json.loads(json.dumps(found)))


def test_each_position_reads_what_it_read_before() -> None:
    now, before = everything(), json.loads(LIST.read_text())

    for part, found in now.items():
        assert found == before[part], part


if __name__ == "__main__":
    print(json.dumps(everything(), separators=(",", ":")))
