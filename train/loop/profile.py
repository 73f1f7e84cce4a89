"""A few steps in detail, on demand (`observe.profile`): what ran when, and what held memory.

    RUN/profile/step-*-rank*.pt.trace.json    a Chrome trace: for ui.perfetto.dev, chrome://tracing, TensorBoard
    RUN/profile/step-*-rank*.memory.pickle    on a GPU: each allocation with its stack, for pytorch.org/memory_viz

Each rank writes its own. On a CPU the trace itself holds the allocations. A profiled step is slower than others.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from train.distributed import Process
from train.sections import ProfileConfig

Step = TypeVar("Step", bound=tuple[Any, ...])


class Profiler:
    """Profiles the steps that the configuration names."""

    def __init__(self, run: Path, process: Process, config: ProfileConfig, say: Callable[[str], None]) -> None:
        """`say` is told where the trace lies."""
        self._config, self._say = config, say
        self._path = run / "profile" / f"step-{config.at:08d}-rank{process.rank}"
        self._on_gpu = process.device.type == "cuda"
        self._running: profile | None = None

    def around(self, steps: Iterator[Step]) -> Iterator[Step]:
        """The same steps, each with its number (from 0) first; while some of them are worked on, it records."""
        first, last = self._config.at - 1, self._config.at + self._config.steps - 2
        try:
            for item in steps:
                if item[0] == first:
                    self._start()
                yield item
                if item[0] == last:
                    self._write()
        finally:  # the run ended before the last of them
            self._write()

    def _start(self) -> None:
        activities = [ProfilerActivity.CPU]
        if self._on_gpu:
            activities.append(ProfilerActivity.CUDA)
            torch.cuda.memory._record_memory_history()
        self._running = profile(activities=activities, record_shapes=True, profile_memory=True)
        self._running.start()

    def _write(self) -> None:
        if self._running is None:
            return
        self._running.stop()
        self._path.parent.mkdir(exist_ok=True)
        self._running.export_chrome_trace(f"{self._path}.pt.trace.json")
        self._running = None
        if self._on_gpu:
            torch.cuda.memory._dump_snapshot(f"{self._path}.memory.pickle")
            torch.cuda.memory._record_memory_history(enabled=None)
        self._say(f"profiled: {self._path}.pt.trace.json (open it at ui.perfetto.dev, or in TensorBoard)")
