"""`hdvila-pipeline audit`: checks a data set against requirements."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from manifests.audit import Audit


def audit(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    require: Annotated[
        list[str],
        typer.Option("--require", help="A metric, one of >= <= == > <, a number; may be given several times."),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole audit as JSON.")] = False,
) -> None:
    """Checks a data set against requirements: counts it again, and exits with 1 if one is not met."""
    from manifests.audit import falls_short, parse_requirement
    from pipeline.outdir.due import read_due
    from pipeline.outdir.identity import open_directory
    from pipeline.report.audit import recount

    requirements = [parse_requirement(text) for text in require]
    store = open_directory(url)
    counted = recount(store)
    short = falls_short(counted.metrics, requirements)
    if as_json:
        print(counted.model_dump_json(indent=2))
    else:
        for name, value in counted.metrics.model_dump().items():
            print(f"{name:24}{'not known' if value == -1 else value}")
        _print_splits(counted)
    for requirement in requirements:
        value = requirement.value(counted.metrics)
        state = "falls short" if requirement in short else "holds"
        typer.echo(f"{state}: {requirement} (it is {'not known' if value == -1 else f'{value:g}'})", err=as_json)
    for line in read_due(store).lines():
        typer.echo(line, err=as_json)
    if short:
        raise typer.Exit(1)


def _print_splits(audit: "Audit") -> None:
    """Prints the clips of each category in each split, and which split lacks one."""
    splits = list(dict.fromkeys(split for row in audit.categories for split in row.splits))
    if not splits:
        return
    print("\n" + f"{'clips':24}" + "".join(f"{split:>10}" for split in splits))
    for row in audit.categories:
        if row.splits:
            print(f"{row.category:24}" + "".join(f"{row.splits[split]:>10,}" for split in splits))
    for sentence in audit.lacking:
        print(sentence)
    print()
