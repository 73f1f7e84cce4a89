"""docs/settings.md, made from the settings themselves: `python -m pipeline.config.reference > docs/settings.md`."""

from manifests.settings import describe_keys
from pipeline.config import RunConfig

HEAD = """# Settings of a run

Made by `python -m pipeline.config.reference` from `pipeline/config/`; a test compares the two. Change the settings,
not this page. A key is *identity* (it changes what comes out; a run into an output directory that was made with another
value is refused) or *operational* (it may change between two runs).

| key | default | kind | what it is |
|---|---|---|---|
"""


def settings_page() -> str:
    """The whole page as Markdown."""
    columns = ("key", "default", "kind", "doc")
    rows = ([row[name].replace("|", "\\|") for name in columns] for row in describe_keys(RunConfig))
    return HEAD + "".join(f"| `{key}` | `{default}` | {kind} | {doc} |\n" for key, default, kind, doc in rows)


if __name__ == "__main__":
    print(settings_page(), end="")
