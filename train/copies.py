"""Batches to a GPU, beside what it is computing: a copy runs on a stream of its own."""

from __future__ import annotations

import torch

from train.rows import Rows


class Copies:
    """To one device; on a CPU the rows stay what they are."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def to_device(self, rows: Rows) -> Rows:
        """The rows on the device. What is computed with them waits for the copy, and the copy for nothing."""
        if self._stream is None:
            return rows.to(self._device)
        with torch.cuda.stream(self._stream):
            there = rows.to(self._device)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)
        for tensor in there.tensors().values():
            tensor.record_stream(computing)  # its memory is not given away while a step still reads it
        return there
