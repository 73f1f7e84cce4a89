"""Who asked to be left out: files and URLs with lists of videos and channels, and the data set's own tombstones.

What a line may be: pipeline/outdir/named.py.
"""

import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import fsspec

from manifests.errors import UserError
from manifests.exits import Unresolved
from manifests.extras import why
from manifests.origin import is_site_id
from pipeline.engine.store.store import Store
from pipeline.outdir.named import CURE, read_named, resolve
from pipeline.outdir.tombstones import Tombstones, read_tombstones
from pipeline.site.redact import redact

MAX_BYTES = 256 * 1024**2
TIMEOUT_S = 30


def load_opt_outs(sources: Sequence[str], store: Store) -> Tombstones:
    """Everything that must be left out. UserError if a list cannot be read or has a line that names no video or
    channel, Unresolved for one that only the site could tell: an opt-out must never be dropped silently.
    """
    tombstones = read_tombstones(store)
    for source in sources:
        tombstones = tombstones.joined(parse_opt_out(read_source(source), source, store))
    return tombstones


def parse_opt_out(text: str, source: str, store: Store) -> Tombstones:
    """The ids of a list. `store`: where names of channels and playlists are looked up."""
    shown = redact(source)
    named = resolve(read_named(text.splitlines(), shown), store)
    if named.open:
        raise Unresolved(f"{shown}: only the site can tell what {', '.join(named.unresolved)} means; {CURE}")
    if odd := sorted(word for word in named.words if not is_site_id(word)):
        raise UserError(f"{shown}: {odd[0][:80]!r} is no id of the site; write `video ID` or `channel ID`")
    return Tombstones(named.videos | named.words, named.channels, urls=named.urls)


def read_source(source: str, name: str = "crawl.opt_out") -> str:
    """Reads the text of a file, an object in a bucket, or an http address (at most 256 MiB). UserError, with the name
    of what gave it, if it cannot be read.
    """
    shown = redact(source)
    try:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer:
                data = answer.read(MAX_BYTES + 1)
        else:
            with fsspec.open(str(Path(source).expanduser()) if "://" not in source else source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except ImportError as error:
        raise UserError(f"{name}: {shown} cannot be read ({why(error)})") from None
    except (OSError, URLError, ValueError) as error:
        raise UserError(f"{name}: {shown} cannot be read ({type(error).__name__}); check the path or address") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{name}: {shown} is larger than {MAX_BYTES} bytes; split it")
    return bytes(data).decode("utf-8", errors="replace")
