"""Copies batches to a GPU on a separate stream, while the GPU computes."""

from __future__ import annotations

import torch

from train.rows import Rows


class Copies:
    """Copies rows to one device; a CPU device needs no stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def to_device(self, rows: Rows) -> Rows:
        """The rows on the device. Later work on the current stream waits for the copy; the copy waits for nothing."""
        if self._stream is None:
            return rows.to(self._device)
        with torch.cuda.stream(self._stream):
            there = rows.to(self._device)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)
        for tensor in there.tensors().values():
            tensor.record_stream(computing)  # keeps its memory from being reused while a step still reads it
        return there
