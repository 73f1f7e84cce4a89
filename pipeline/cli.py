"""`hdvila-pipeline`: the commands, each in a module of its own under pipeline/commands.

A UserError becomes one message and exit code 2; a bug keeps its traceback. Commands import what is heavy inside
themselves, so that `cut` needs neither Ray nor yt-dlp.
"""

import logging
import sys

import typer
from rich.console import Console

from manifests.errors import UserError
from manifests.storage import StorageErrorsExplained
from pipeline.commands.config import show_config
from pipeline.commands.cut import cut
from pipeline.commands.demo import demo
from pipeline.commands.doctor import doctor
from pipeline.commands.merge import merge
from pipeline.commands.mini_youtube import mini_youtube
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

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Crawl, balance, cut and shard: from YouTube, a list of ids or a folder to WebDataset shards.",
)

app.command("run")(run)
app.command("demo")(demo)
app.command("config")(show_config)
app.command("doctor")(doctor)
app.command("status")(status)
app.command("why")(why)
app.command("retry")(retry)
app.command("report")(report)
app.command("cut")(cut)
app.command("verify")(verify)
app.command("remove")(remove)
app.command("merge")(merge)
app.command("reshard")(reshard)
app.command("mini-youtube")(mini_youtube)
app.add_typer(show_app, name="show")


@app.callback()
def options(verbose: bool = typer.Option(False, "--verbose", "-v", help="Also show debug lines.")) -> None:
    """Options before the command."""
    set_up_logging(verbose=verbose)


def main() -> None:
    """Runs the command that the arguments name."""
    try:
        with StorageErrorsExplained():
            app()
    except UserError as error:
        logging.getLogger("hdvila").debug("stopped", exc_info=True)
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; everything committed stays, the same command goes on from there")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
