"""Cuts clips out of a video by spans: one call for two modes; each span gives a clip or a failure with its reason.

    remux  (default) packets from the keyframe before, with the clip's position inside the file recorded
    exact  re-encoded with short GOPs: starts and ends at the sentence for readers that know no offset

Spans may overlap and come in any order; a span that cannot be cut costs only itself.

span.py      what goes in (a span) and what comes out
window.py    the packets of a span, from the keyframe before it
mp4.py       packets or frames into mp4 bytes, read alike with and without edit list
remux.py     mode remux: packets as they are
exact.py     mode exact: frames encoded again
audio.py     audio that has to be encoded
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import av

from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.cutting.exact import exact_clips
from pipeline.media.cutting.remux import remux
from pipeline.media.cutting.span import CutClip, CutFailure, Span
from pipeline.media.cutting.window import read_only
from pipeline.media.probe import Probe, Unusable, open_media

__all__ = ["CutClip", "CutFailure", "Span", "cut_clips"]


def cut_clips(
    source: Probe, spans: Sequence[Span], config: CutConfig, limits: MediaLimits, opened: Any = None
) -> Iterator[CutClip | CutFailure]:
    """Yields a clip or a failure per span, in the order of their starts. Raises Unusable where the file won't open.

    `opened` is the file, if it is open already: opening a film costs as much as decoding ten of its frames. It is used
    where an index says where packets are; a file without an index is read from its beginning, which an open file has
    left.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ms, span.end_ms, span.n))
    with ExitStack() as stack:
        if config.mode == "exact":
            pictures = stack.enter_context(_opened(source, limits, source.video.index))
            audio_file = stack.enter_context(_opened(source, limits, source.audio.index)) if source.audio else None
            yield from exact_clips(pictures, audio_file, source, ordered, config)
            return
        is_indexed = source.container.startswith("mov,mp4")
        container = opened if opened and is_indexed else stack.enter_context(open_media(source.path, limits))
        for span in ordered:
            yield _remuxed(container, source, span)


def _remuxed(container: Any, source: Probe, span: Span) -> CutClip | CutFailure:
    try:
        return remux(container, source, span)
    except Unusable as fault:
        return CutFailure(span.n, fault.reason, fault.detail)
    except av.FFmpegError as error:
        return CutFailure(span.n, Reason.BROKEN_MEDIA, f"cannot be written as mp4: {error}")


def _opened(source: Probe, limits: MediaLimits, index: int) -> Any:
    """Opens the file with all tracks but one discarded."""
    container = open_media(source.path, limits)
    read_only(container, index)
    return container
