"""Last part of a run: the selection becomes shards, the shards a manifest, and everything a report.

In:  selection.parquet, packs
Out: shards/, manifest.json and what stands beside it, report/index.html
"""

from typing import Any

from manifests.funnel import funnel
from manifests.settings import identity_values
from manifests.shards import Manifest
from pipeline.balance.selection import Selection
from pipeline.outdir.identity import stages_made_by
from pipeline.report.page import write_report
from pipeline.run.session import Run
from pipeline.shards.manifest import remove_packs, sweep_shards, write_manifest
from pipeline.shards.stage import ShardsStage


def deliver(run: Run, selection: Selection) -> Manifest:
    """Shards, manifest, cards, report. Packs go once the manifest that holds their samples is written."""
    config, store = run.config, run.store
    run.do(ShardsStage(config.shards, config.seed))
    run.lock.check()
    manifest = write_manifest(
        store,
        name=config.name,
        config=public_config(run),
        card=config.shards.card,
        facts={
            "balance": selection.result.document(),
            "funnel": funnel(store).document(),
            "made_by": stages_made_by(store),
        },
    )
    sweep_shards(store, manifest)
    if not config.shards.keep_packs:
        remove_packs(store, manifest)
    write_report(store)
    return manifest


def public_config(run: Run) -> dict[str, Any]:
    """The configuration as the manifest shows it: what decided what came out. Operational keys may hold secrets."""
    return {key: value for key, (value, _) in sorted(identity_values(run.config).items())}
