"""Last part of a run: the selection becomes shards, the shards a manifest, and everything a report.

In:  selection.parquet, packs

Out: shards/, manifest.json and the files beside it, report/index.html
"""

from collections.abc import Mapping
from typing import Any

from manifests.funnel import funnel
from manifests.settings import identity_values
from manifests.shards import Manifest
from pipeline.balance.selection import Selection
from pipeline.outdir.identity import stages_made_by
from pipeline.report.page import write_report
from pipeline.run.session import Run
from pipeline.shards.manifest import remove_packs, remove_packs_of, sweep_shards, write_manifest
from pipeline.shards.stage import ShardsStage


def deliver(run: Run, selection: Selection) -> Manifest:
    """Makes shards, manifest, cards, report. Packs are removed once the manifest with their samples is written."""
    run.complete(ShardsStage(run.config.shards, run.config.seed, books=run.known.shards))
    manifest = publish_shards(run, selection, {"funnel": funnel(run.store).document()}, is_last=True)
    sweep_shards(run.store, manifest)
    write_report(run.store)
    run.count_rejects()
    return manifest


def publish_shards(
    run: Run, selection: Selection, facts: Mapping[str, Any] | None = None, *, is_last: bool = False
) -> Manifest:
    """Writes the manifest of all committed shards, and removes the packs that are no longer needed."""
    config, store = run.config, run.store
    run.lock.check()
    manifest = write_manifest(
        store,
        name=config.name,
        config=public_config(run),
        card=config.shards.card,
        facts={"balance": selection.result.document(), "made_by": stages_made_by(store), **(facts or {})},
    )
    if not config.shards.keep_packs and is_last:
        remove_packs(store, manifest)
    elif not config.shards.keep_packs:
        newest = manifest.head["generation"]
        remove_packs_of(store, [shard for shard in manifest.shards if shard.generation == newest])
    return manifest


def public_config(run: Run) -> dict[str, Any]:
    """The configuration as shown in the manifest: what decided the result. Operational keys may hold secrets."""
    return {key: value for key, (value, _) in sorted(identity_values(run.config).items())}
