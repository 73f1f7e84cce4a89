"""Named tensors with one row per example along their first dimension: the input of every model.

An example is a clip and its sentence, or a picture and its caption. The names come from a view (what is decoded), the
trainer (the text) and the objectives (their labels), and are read by the model; code that only passes rows on doesn't
depend on them.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor


class Rows:
    """A batch of rows: `rows.input_ids`, `rows["input_ids"]`, `rows.get("mlm_labels")`; `rows[2:4]` is two of them."""

    def __init__(self, tensors: Mapping[str, Tensor] | None = None, **more: Tensor | None) -> None:
        given = {**(tensors or {}), **more}
        self._tensors: dict[str, Tensor] = {name: value for name, value in given.items() if value is not None}
        lengths = {len(value) for value in self._tensors.values()}
        if len(lengths) > 1:
            shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self._tensors.items())
            raise ValueError(f"tensors of one batch have as many rows each, got {shapes}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self._tensors.values()), ()))

    def __getattr__(self, name: str) -> Any:
        # While an instance is being unpickled, `_tensors` itself is asked for before it exists.
        if name != "_tensors" and name in self._tensors:
            return self._tensors[name]
        raise AttributeError(f"no tensor {name!r} among these rows ({', '.join(self.names()) or 'none'})")

    def __getitem__(self, key: Any) -> Any:
        """One tensor, given its name; or some of the rows (without copying), given a slice."""
        if isinstance(key, str):
            return self._tensors[key]
        return self._made({name: value[key] for name, value in self._tensors.items()})

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getstate__(self) -> dict[str, Any]:
        return {"_tensors": self._tensors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._tensors = state["_tensors"]

    def names(self) -> tuple[str, ...]:
        """The names of the tensors."""
        return tuple(self.__dict__.get("_tensors", ()))

    def tensors(self) -> dict[str, Tensor]:
        """{name: tensor}; a copy of the table, not of the tensors."""
        return dict(self._tensors)

    def get(self, name: str) -> Tensor | None:
        """The tensor of this name, or None."""
        return self._tensors.get(name)

    def having(self, tensors: Mapping[str, Tensor]) -> Self:
        """The same rows with these tensors added, or replaced if the name exists."""
        return self._made({**self._tensors, **tensors})

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Self:
        """The same rows on another device."""
        return self._made({name: x.to(device, non_blocking=non_blocking) for name, x in self._tensors.items()})

    def pin_memory(self, device: str | None = None) -> Self:
        """The same rows in page-locked memory, from which they can be copied to a GPU while it computes."""
        return self._made({name: value.pin_memory() for name, value in self._tensors.items()})

    def split(self, n_rows: int) -> list[Self]:
        """The rows as micro-batches of at most `n_rows`, in order."""
        return [self[start : start + n_rows] for start in range(0, len(self), n_rows)]

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return next(iter(self._tensors.values())).device

    def _made(self, tensors: dict[str, Tensor]) -> Self:
        made = type(self).__new__(type(self))
        made._tensors = tensors
        return made


def joined(parts: list[Rows]) -> Rows:
    """Concatenates rows that have the same names."""
    if len(parts) == 1:
        return parts[0]
    return Rows({name: torch.cat([part[name] for part in parts]) for name in parts[0].names()})
