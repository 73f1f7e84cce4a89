"""docs/settings.md, made from the settings themselves: `python -m pipeline.config.reference > docs/settings.md`."""

from collections.abc import Iterable

from manifests.settings import describe_keys
from pipeline.config import RunConfig

HEAD = """# Settings of a run

Made by `python -m pipeline.config.reference` from `pipeline/config/`; a test compares the two. Change the settings,
not this page.

Most runs set a dozen of the thirty keys that come first. All keys follow: a key is *identity* (it changes what comes
out; a run into an output directory that was made with another value is refused) or *operational* (it may change between
two runs). What nobody has a reason to vary is a constant in the code; run.json keeps those that change what comes out,
and a run with others is refused in the same way.

## The thirty that matter
"""
MATTER = {
    "The data set": ("out", "seed"),
    "Where videos come from": (
        "crawl.sources",
        "crawl.categories",
        "crawl.queries",
        "crawl.lists.files",
        "crawl.lists.columns",
        "folder.path",
    ),
    "Who asks, and who is left out": (
        "crawl.identities",
        "crawl.proxy_file",
        "crawl.data_api.key_file",
        "crawl.opt_out",
    ),
    "Which videos": (
        "crawl.limits.languages",
        "crawl.limits.min_duration_s",
        "crawl.limits.max_duration_s",
        "crawl.limits.licences",
    ),
    "How much of each category": ("balance.policy", "balance.unit", "balance.total", "balance.max_channel_share"),
    "Clips": ("text.clips.target_s", "media.cut.mode", "media.members.audio", "media.duplicates.action"),
    "Shards": ("shards.max_bytes", "shards.split.by", "shards.split.val", "shards.card.contact"),
    "Machines": ("engine.ray_address", "engine.scratch"),
}


def settings_page() -> str:
    """The whole page as Markdown."""
    rows = {row["key"]: row for row in describe_keys(RunConfig)}
    parts = [
        f"\n### {name}\n\n" + _table((rows[key] for key in keys), "key", "default", "doc")
        for name, keys in MATTER.items()
    ]
    return HEAD + "".join(parts) + "\n## All keys\n\n" + _table(rows.values(), "key", "default", "kind", "doc")


def _table(rows: Iterable[dict[str, str]], *columns: str) -> str:
    titles = [{"doc": "what it is"}.get(column, column) for column in columns]
    lines = [titles, ["---"] * len(columns)]
    for row in rows:
        cells = {name: row[name].replace("|", "\\|") for name in columns}
        lines.append([f"`{cells[name]}`" if name in ("key", "default") else cells[name] for name in columns])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(settings_page(), end="")
