"""`hdvila-pipeline report`: the audit page of an output directory."""

from typing import Annotated

import typer


def report(
    out: Annotated[str, typer.Argument(help="The output directory: a folder or an s3:// url.", metavar="DIR")],
) -> None:
    """Writes report/index.html anew from the tables alone: balance, funnel, distributions, samples."""
    from manifests.errors import UserError
    from manifests.image_sample import IMAGE_KIND
    from manifests.shards import MANIFEST_NAME
    from pipeline.engine.store import Store
    from pipeline.report.page import write_report

    store = Store(out)
    if store.exists(MANIFEST_NAME) and store.read_json(MANIFEST_NAME).get("kind") == IMAGE_KIND:
        raise UserError(f"{out}: an image-text set has no crawl to audit; its dataset_card.md says what it holds")
    print(f"{out.rstrip('/')}/{write_report(store)}")
