"""`hdvila-pipeline rates`: how often a live run may ask, without a restart."""

from typing import Annotated

import typer


def rates(
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
    identity: Annotated[list[str], typer.Option(help="Videos per hour for one identity.", metavar="NAME=RATE")] = [],  # noqa: B006
    kind: Annotated[
        list[str], typer.Option(help="Requests per minute for each identity, by kind.", metavar="KIND=RATE")
    ] = [],  # noqa: B006
    most: Annotated[
        list[str], typer.Option(help="Requests per minute for all identities together, by kind.", metavar="KIND=RATE")
    ] = [],  # noqa: B006
    reset: Annotated[bool, typer.Option("--reset", help="Return to the configured rates first.")] = False,
) -> None:
    """Changes the rates of a live crawl within seconds, without a restart; without options, shows them."""
    from manifests.run_status import Control
    from pipeline.engine.run.status_files import read_control, write_control
    from pipeline.outdir.identity import open_directory_of_a_run
    from pipeline.site.pauses import read_state

    store = open_directory_of_a_run(url)
    known = {identity["name"] for identity in read_state(store).get("identities", [])}
    control = read_control(store)
    asked = {
        "videos_per_hour": _rates("--identity", identity, known),
        "identity_requests_per_minute": _rates("--kind", kind, _kinds()),
        "most_requests_per_minute": _rates("--most", most, _kinds()),
    }
    kept = {name: {} if reset else getattr(control, name) for name in asked}
    update = {name: {**kept[name], **new} for name, new in asked.items()}
    if reset or any(asked.values()):
        write_control(store, Control.model_validate(control.model_dump() | update))
    said = [f"{name}.{what} {rate:g}" for name, by in update.items() for what, rate in sorted(by.items())]
    print("\n".join(said) or "the configured rates apply")


def _kinds() -> set[str]:
    from pipeline.config.crawl import KINDS

    return set(KINDS)


def _rates(option: str, words: list[str], known: set[str]) -> dict[str, float]:
    """{name: rate} of NAME=RATE words. UserError for invalid rates and unknown names."""
    import math

    from manifests.errors import UserError

    rate_of = {}
    for word in words:
        name, _, number = word.partition("=")
        if known and name not in known:
            raise UserError(f"{option} {word}: {name!r} is not known; choose from: {', '.join(sorted(known))}")
        try:
            rate = float(number)
        except ValueError:
            rate = 0.0
        if not 0 < rate < math.inf:
            raise UserError(f"{option} {word}: write a name and a rate above 0, such as {name or 'page'}=30")
        rate_of[name] = rate
    return rate_of
