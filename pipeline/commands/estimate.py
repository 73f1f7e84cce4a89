"""`hdvila-pipeline estimate`: what a run would take, before it does anything."""

from pathlib import Path
from typing import Annotated

import typer


def estimate(
    file: Annotated[Path, typer.Argument(help="The run's YAML.")],
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
    cores: Annotated[int, typer.Option(help="CPU cores of the run; 0: as configured.", min=0)] = 0,
    identities: Annotated[int, typer.Option(help="Assume this many identities; 0: as configured.", min=0)] = 0,
    gbit: Annotated[float, typer.Option(help="Network of the whole cluster, Gbit/s.", min=0.001)] = 1.0,
) -> None:
    """Says what a run will take, from measured costs: requests, days, core-hours, bytes, objects, bottleneck."""
    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.run.estimate import estimate as lines

    config = load_config(RunConfig, file, set_)
    print("\n".join(lines(config, n_cores=cores, n_identities=identities, gbit_a_second=gbit)))
