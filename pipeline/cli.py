"""`hdvila-pipeline`: the commands, each in a module of its own under pipeline/commands.

How a command ends is said by manifests/exits.py. Commands import what is heavy inside themselves, so that `cut` needs
neither Ray nor yt-dlp.
"""

from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitsByTheTable, epilog, example
from manifests.storage import StorageErrorsExplained
from manifests.version import print_version
from pipeline.commands.audit import audit
from pipeline.commands.config import show_config
from pipeline.commands.cut import cut
from pipeline.commands.debug import debug
from pipeline.commands.demo import demo
from pipeline.commands.doctor import doctor
from pipeline.commands.estimate import estimate
from pipeline.commands.export import export
from pipeline.commands.identity import identity
from pipeline.commands.import_images import import_images
from pipeline.commands.init import init
from pipeline.commands.merge import merge
from pipeline.commands.mini_youtube import mini_youtube
from pipeline.commands.pause import pause, resume
from pipeline.commands.rates import rates
from pipeline.commands.remove import remove
from pipeline.commands.report import report
from pipeline.commands.reshard import reshard
from pipeline.commands.retry import retry
from pipeline.commands.run import run
from pipeline.commands.show import show_app
from pipeline.commands.status import status
from pipeline.commands.verify import verify
from pipeline.commands.why import why
from pipeline.engine.progress import set_up_logging

PROGRAM = "hdvila-pipeline"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Crawl, balance, cut and shard: from YouTube, a list of ids or a folder to WebDataset shards.",
    epilog=example(PROGRAM, "demo"),
)

app.command("run", epilog=epilog(PROGRAM, "run"))(run)
app.command("init", epilog=epilog(PROGRAM, "init"))(init)
app.command("demo", epilog=epilog(PROGRAM, "demo"))(demo)
app.command("config", epilog=epilog(PROGRAM, "config"))(show_config)
app.command("doctor", epilog=epilog(PROGRAM, "doctor"))(doctor)
app.command("estimate", epilog=epilog(PROGRAM, "estimate"))(estimate)
app.command("debug", epilog=epilog(PROGRAM, "debug"))(debug)
app.command("status", epilog=epilog(PROGRAM, "status"))(status)
app.command("pause", epilog=epilog(PROGRAM, "pause"))(pause)
app.command("resume", epilog=epilog(PROGRAM, "resume"))(resume)
app.command("identity", epilog=epilog(PROGRAM, "identity"))(identity)
app.command("rates", epilog=epilog(PROGRAM, "rates"))(rates)
app.command("why", epilog=epilog(PROGRAM, "why"))(why)
app.command("retry", epilog=epilog(PROGRAM, "retry"))(retry)
app.command("audit", epilog=epilog(PROGRAM, "audit"))(audit)
app.command("report", epilog=epilog(PROGRAM, "report"))(report)
app.command("cut", epilog=epilog(PROGRAM, "cut"))(cut)
app.command("verify", epilog=epilog(PROGRAM, "verify"))(verify)
app.command("remove", epilog=epilog(PROGRAM, "remove"))(remove)
app.command("merge", epilog=epilog(PROGRAM, "merge"))(merge)
app.command("export", epilog=epilog(PROGRAM, "export"))(export)
app.command("import-images", epilog=epilog(PROGRAM, "import-images"))(import_images)
app.command("reshard", epilog=epilog(PROGRAM, "reshard"))(reshard)
app.command("mini-youtube", epilog=epilog(PROGRAM, "mini-youtube"))(mini_youtube)
app.add_typer(show_app, name="show", epilog=epilog(PROGRAM, "show"))


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show debug lines.")] = False,
    log_json: Annotated[
        Path | None, typer.Option(help="Also append the log to this file, as lines of JSON.", metavar="FILE")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Crawl, balance, cut and shard: from YouTube, a list of ids or a folder to WebDataset shards."""
    set_up_logging(verbose=verbose, json_file=log_json)


def main() -> None:
    """Runs the command that the arguments name."""
    with ExitsByTheTable(PROGRAM), StorageErrorsExplained():
        app()


if __name__ == "__main__":
    main()
