"""docs/reference.md, made from the contract's own tables: `python -m manifests.reference > docs/reference.md`."""

from manifests.audit import Metrics
from manifests.exits import COMMANDS, ExitCode, codes_of
from manifests.stages import TABLE

HEAD = """# Reference

Made by `python -m manifests.reference` from the tables in `manifests/`; a test compares. Change the tables, not this.
"""


def reference() -> str:
    """The whole page, Markdown."""
    return "\n".join([HEAD, *_stages(), "", *_exit_codes(), "", *_metrics()]) + "\n"


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


if __name__ == "__main__":
    print(reference(), end="")
