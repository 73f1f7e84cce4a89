"""docs/reference.md, made from the contract's own tables: `python -m manifests.reference > docs/reference.md`."""

from manifests.exits import COMMANDS, ExitCode, codes_of

HEAD = """# Reference

Made by `python -m manifests.reference` from the tables in `manifests/`; a test compares. Change the tables, not this.
"""


def reference() -> str:
    """The whole page, Markdown."""
    return "\n".join([HEAD, *_exit_codes()]) + "\n"


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


if __name__ == "__main__":
    print(reference(), end="")
