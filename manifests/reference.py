"""docs/reference.md, made from the contract's own tables: `python -m manifests.reference > docs/reference.md`."""

from manifests.audit import Metrics
from manifests.exits import COMMANDS, ExitCode, codes_of
from manifests.reasons import Reason
from manifests.sample import SampleJson
from manifests.schema import REJECTS, SELECTION, SHARD_ROWS, TABLES
from manifests.stages import TABLE

HEAD = """# Reference

Made by `python -m manifests.reference` from the tables in `manifests/`; a test compares the two. Change the tables,
not this page.
"""


def reference() -> str:
    """The whole page as Markdown."""
    parts = (_stages, _exit_codes, _metrics, _reasons, _sample, _tables)
    return "\n".join([HEAD, "\n\n".join("\n".join(part()) for part in parts)]) + "\n"


def _stages() -> list[str]:
    lines = ["## Stages", "", "In the order of `--redo`: a stage is done again with all that follow it.", ""]
    lines += ["| stage | what it does | reads | makes | also named | version |", "|---|---|---|---|---|---|"]
    for stage in TABLE:
        makes = [*(f"`{table}`" for table in stage.makes), *(f"`{file}`" for file in stage.files)]
        cells = (", ".join(f"`{table}`" for table in stage.reads), ", ".join(makes), ", ".join(stage.aliases))
        lines.append(f"| `{stage.name}` | {stage.does} | {' | '.join(cells)} | {stage.made_by} |")
    return lines


def _exit_codes() -> list[str]:
    lines = ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code:d} | {code.meaning} |" for code in ExitCode]
    lines += ["", "| command | ends with |", "|---|---|"]
    lines += [
        f"| `{program} {command}` | {', '.join(str(int(code)) for code in codes_of(program, command))} |"
        for program, commands in COMMANDS.items()
        for command in commands
    ]
    return lines


def _metrics() -> list[str]:
    lines = ["## Metrics", "", "Of `report/report.json`, for `hdvila-pipeline audit --require`. -1: not known.", ""]
    lines += ["| metric | what it is |", "|---|---|"]
    return [*lines, *(f"| `{name}` | {field.description} |" for name, field in Metrics.model_fields.items())]


def _reasons() -> list[str]:
    lines = [
        "## Reasons",
        "",
        "Why a video or clip is rejected. Class: later (tried again), never, stop (ends the run).",
    ]
    lines += ["", "| reason | class | what it means |", "|---|---|---|"]
    return [*lines, *(f"| `{reason.value}` | {reason.class_.value} | {reason.meaning} |" for reason in Reason)]


def _sample() -> list[str]:
    lines = ["## KEY.json", "", "Every key is there, with one type, never null.", "", "| key | type |", "|---|---|"]
    kinds = SampleJson.model_json_schema()["properties"]
    return [*lines, *(f"| `{name}` | {kind.get('type', 'one of a few texts')} |" for name, kind in kinds.items())]


def _tables() -> list[str]:
    lines = ["## Tables", "", "Parquet, by name of the folder; `SHARD` beside each tar. Units are in the names."]
    for name, schema in {**TABLES, "selection": SELECTION, "rejects": REJECTS, "SHARD": SHARD_ROWS}.items():
        lines += ["", f"### {name}", "", "| column | type |", "|---|---|"]
        lines += [f"| `{field.name}` | {field.type} |" for field in schema]
    return lines


if __name__ == "__main__":
    print(reference(), end="")
