"""What a run publishes: the selection, and a manifest of the shards that are committed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.files import ROWS_A_GROUP
from manifests.funnel import SELECTION_NAME
from manifests.parquet import parquet_writer
from manifests.schema import SELECTION
from manifests.settings import identity_values
from manifests.shards import Manifest
from pipeline.balance.result import BALANCE_NAME, BalanceResult
from pipeline.balance.selection import Selection
from pipeline.outdir.identity import stages_made_by
from pipeline.shards.manifest import remove_packs, remove_packs_of, write_manifest

if TYPE_CHECKING:
    from pipeline.run.session import Run


def write_selection(run: Run, selection: Selection) -> BalanceResult:
    """Writes selection.parquet and balance.json; returns the result, without the table of all videos."""
    run.lock.check()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SELECTION_NAME
        with parquet_writer(path, SELECTION) as writer:
            for rows in selection.pieces(ROWS_A_GROUP):
                writer.write_table(rows, row_group_size=ROWS_A_GROUP)
        run.store.put(path, SELECTION_NAME)
    run.store.write_json(BALANCE_NAME, selection.result.document())
    return selection.result


def publish_shards(
    run: Run, balance: BalanceResult, facts: Mapping[str, Any] | None = None, *, is_last: bool = False
) -> Manifest:
    """Writes the manifest of all committed shards, and removes the packs that are no longer needed."""
    config, store = run.config, run.store
    run.lock.check()
    manifest = write_manifest(
        store,
        name=config.name,
        config=public_config(run),
        card=config.shards.card,
        facts={"balance": balance.document(), "made_by": stages_made_by(store), **(facts or {})},
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
