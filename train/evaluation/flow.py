"""Inter-modality flow: how much of a Transformer's attention crosses between text and picture, layer by layer.

For one layer, A [n, n] is the attention after the softmax (before dropout), averaged over heads; rows are queries. T
and V are the valid text and visual tokens ([CLS] and [SEP] count as text), n = n_t + n_v. Padding is left out: columns
of invalid keys are zero and rows add up to 1.

    imf              the attention that valid queries pay to keys of the other modality, divided by n
    text_to_vision   the same for text queries alone, divided by n_t
    vision_to_text   for visual queries, divided by n_v;  n imf = n_t text_to_vision + n_v vision_to_text
    imf_lift         imf / (2 n_t n_v / n²): 1 for uniform attention, whatever the number of tokens

The paper names and plots such a metric, but its formula could not be found: this definition is ours (VERSION 1).
It works for every model whose layers are train.models.bert's and whose sequences begin with the text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.models.bert import SelfAttention

VERSION = 1


@dataclass(frozen=True, slots=True)
class Flow:
    """The metrics by layer: [n_layers], float64 on the CPU, averaged over examples."""

    imf: Tensor
    text_to_vision: Tensor
    vision_to_text: Tensor
    imf_lift: Tensor
    n_examples: int

    def table(self) -> str:
        """The metrics as a table: a line per layer, and a line of their means."""
        head = f"inter-modality flow (definition {VERSION}) over {self.n_examples} pairs; imf_lift 1 = even attention"
        lines = [head, f"{'layer':>6} {'text to vision':>15} {'vision to text':>15} {'imf':>8} {'imf_lift':>9}"]
        columns = (self.text_to_vision, self.vision_to_text, self.imf, self.imf_lift)
        rows = [*zip(*(c.tolist() for c in columns), strict=True), tuple(float(c.mean()) for c in columns)]
        for name, (t, v, imf, lift) in zip([*map(str, range(1, len(rows))), "mean"], rows, strict=True):
            lines.append(f"{name:>6} {t:>15.4f} {v:>15.4f} {imf:>8.4f} {lift:>9.4f}")
        return "\n".join(lines)

    def flat(self) -> dict[str, object]:
        """The metrics for JSON: each by layer, and its mean."""
        names = ("imf", "text_to_vision", "vision_to_text", "imf_lift")
        by_layer = {name: getattr(self, name).tolist() for name in names}
        means = {f"{name}_mean": float(getattr(self, name).mean()) for name in names}
        return {"version": VERSION, "n_examples": self.n_examples, **by_layer, **means}


def flow_of_attention(attention: Tensor, valid: Tensor, is_text: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(imf, text_to_vision, vision_to_text, imf_lift) of a layer, each [b].

    attention is [b, n, n] or, by head, [b, heads, n, n]; valid [b, n] bool; is_text [n] bool. UserError if an example
    has tokens of only one modality: the flow is not defined then.
    """
    if attention.ndim == 4:
        attention = attention.mean(1)
    a = attention.double() * valid[:, None, :]
    a = a / a.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    text, vision = valid & is_text, valid & ~is_text
    n_t, n_v = text.sum(1).double(), vision.sum(1).double()
    if bool((n_t == 0).any() or (n_v == 0).any()):
        raise UserError("inter-modality flow needs tokens of both modalities in every example; one has none")
    n = n_t + n_v
    from_text = (a * text[:, :, None] * vision[:, None, :]).sum((1, 2))
    from_vision = (a * vision[:, :, None] * text[:, None, :]).sum((1, 2))
    imf = (from_text + from_vision) / n
    return imf, from_text / n_t, from_vision / n_v, imf / (2 * n_t * n_v / n.square())


@dataclass(slots=True)
class FlowRecorder:
    """Sums the flow over all forward passes inside `recording`; `result` gives the means."""

    n_text: int
    """Text tokens at the front of each sequence, padding included."""
    sums: list[Tensor] = field(default_factory=list)
    """For each layer [4]: the sums of the four metrics over examples."""
    n_examples: list[int] = field(default_factory=list)

    @contextmanager
    def recording(self, model: nn.Module) -> Iterator["FlowRecorder"]:
        """Records the layers whose sequences are longer than the text; layers over text alone are left out."""
        layers = [module for module in model.modules() if isinstance(module, SelfAttention)]
        watched = iter(range(len(layers)))
        handles = [layer.register_forward_pre_hook(self._hook(next(watched))) for layer in layers]
        self.sums = [torch.zeros(4, dtype=torch.float64) for _ in layers]
        self.n_examples = [0 for _ in layers]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def result(self) -> Flow:
        """The mean over all examples seen. UserError if no layer saw both modalities."""
        seen = [(total / n, n) for total, n in zip(self.sums, self.n_examples, strict=True) if n]
        if not seen:
            raise UserError("no layer of this model reads text and picture together (HD-VILA: model.stage 2)")
        columns = torch.stack([mean for mean, _ in seen]).unbind(1)
        imf, text_to_vision, vision_to_text, lift = columns
        return Flow(imf, text_to_vision, vision_to_text, lift, n_examples=seen[0][1])

    def _hook(self, layer: int) -> Any:
        def watch(module: SelfAttention, arguments: tuple[Tensor, Tensor]) -> None:
            x, mask = arguments
            if x.shape[1] <= self.n_text:
                return
            with torch.no_grad():
                is_text = torch.arange(x.shape[1], device=x.device) < self.n_text
                flow = flow_of_attention(attention_of(module, x, mask), mask[:, 0, 0].bool(), is_text)
            self.sums[layer] += torch.stack([value.sum() for value in flow]).cpu()
            self.n_examples[layer] += len(x)

        return watch


def attention_of(module: SelfAttention, x: Tensor, mask: Tensor) -> Tensor:
    """The module's attention weights [b, n, n]: after the softmax, averaged over heads. mask is [b, 1, 1, n] bool."""
    with torch.autocast(x.device.type, enabled=False):
        wide = x.to(module.query.weight.dtype)
        q, k = (
            linear(wide).unflatten(-1, (module.n_heads, -1)).transpose(1, 2) for linear in (module.query, module.key)
        )
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return scores.masked_fill(~mask.bool(), float("-inf")).softmax(-1).mean(1)
