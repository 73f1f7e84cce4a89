"""Steps of other packages: found by name, imported when used, compared between machines."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.checks import CheckFacts
from manifests.errors import ConfigError, UserError
from manifests.members import Setting
from manifests.plugins import Used, load, names_in, register, unlike_here, used_by
from manifests.reasons import OwnReason, ReasonClass
from manifests.settings import identity_values, parse_config
from pipeline import RunConfig, Source
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check

REPO = Path(__file__).resolve().parents[2]
FACTS = CheckFacts("dull", OwnReason("mine.dull", "dull"), "flag", "dull", (Setting("dullest", 0.5, "share"),))


def package(site: Path, name: str, points: str, code: str, version: str = "1.0") -> None:
    """An installed package of one module, as pip leaves it."""
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points)


def said_by(code: str, *sites: Path) -> str:
    """What a process that finds the packages of these folders prints."""
    path = ":".join(map(str, (*sites, REPO)))
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def registered() -> None:
    register("checks", "dull", Check("dull", "audio", lambda seen, config: "", facts=FACTS))


@pytest.mark.usefixtures("registered")
def test_only_a_configuration_that_names_a_step_has_its_keys() -> None:
    plain, named = MediaConfig(), MediaConfig.model_validate({"checks": {"dull": "reject", "silence": "ignore"}})

    assert not [key for key in identity_values(plain) if "dull" in key]
    assert {key: value for key, (value, _) in identity_values(named).items() if "dull" in key} == {
        "checks.dull": "reject",
        "checks.dullest": 0.5,
        "checks.dull.package": "registered by hand",
    }
    assert identity_values(named)["checks.dull"][1] == "media"
    assert named.checks.silence == "ignore"
    assert used_by(plain) == ()
    assert [(step.group, step.name) for step in used_by(named)] == [("checks", "dull")]


@pytest.mark.usefixtures("registered")
def test_a_configuration_with_keys_of_others_travels_to_workers() -> None:
    config = MediaConfig.model_validate({"checks": {"dull": "reject", "dullest": 0.25}})

    again = pickle.loads(pickle.dumps(config))

    assert again == config
    assert identity_values(again) == identity_values(config)


@pytest.mark.usefixtures("registered")
def test_a_wrong_value_of_a_step_is_named_like_any_other() -> None:
    with pytest.raises(ValueError, match="dullest"):
        MediaConfig.model_validate({"checks": {"dull": "reject", "dullest": "very"}})


def test_two_packages_with_one_name_are_an_error_where_it_is_used(tmp_path: Path) -> None:
    for name in ("one", "two"):
        package(tmp_path, name, f"[hdvila.checks]\ndull = {name}:DULL\n", "DULL = 1\n")
    code = (
        "from manifests import plugins\nprint(sorted(plugins.names_in('checks')))\ntry: plugins.load('checks', 'dull')"
    )

    said = said_by(f"{code}\nexcept plugins.UserError as error: print(error)", tmp_path)

    assert said.splitlines()[0] == "['dull']"
    assert "one 1.0" in said and "two 1.0" in said and "both bring dull to checks" in said


def test_what_is_not_named_is_not_imported(tmp_path: Path) -> None:
    package(tmp_path, "loud", "[hdvila.checks]\nloud = loud:LOUD\n", "raise SystemExit('imported')\n")
    code = (
        "from pipeline.config.media import MediaConfig\nMediaConfig.model_validate({'checks': {'silence': 'flag'}})\n"
    )

    assert said_by(code + "print('fine')", tmp_path) == "fine"


CHECK = """
from pipeline import Check, CheckFacts, OwnReason
FACTS = CheckFacts("dull", OwnReason("grey.dull", "dull"), "flag", "dull")
DULL = Check("dull", "audio", lambda seen, config: "", facts=FACTS)
"""
USED = """
from manifests.plugins import used_by
from pipeline.config.media import MediaConfig
print(list(used_by(MediaConfig.model_validate({"checks": {"dull": "flag"}}))))
"""


def test_a_machine_says_how_its_packages_differ_from_the_drivers(tmp_path: Path) -> None:
    homes = {"driver": "1.0", "same": "1.0", "newer": "1.1", "edited": "1.0"}
    for home, version in homes.items():
        (tmp_path / home).mkdir()
        code = CHECK + "EDITED = 1\n" * (home == "edited")
        package(tmp_path / home, "grey", "[hdvila.checks]\ndull = grey:DULL\n", code, version)
    used = said_by(USED, tmp_path / "driver")
    asks = f"from manifests.plugins import Used, unlike_here\nprint(unlike_here({used}))"

    assert said_by(asks, tmp_path / "same") == ""
    assert said_by(asks, tmp_path / "newer") == "has grey 1.1 for dull of checks, the driver grey 1.0"
    assert said_by(asks, tmp_path / "edited") == "has other source of grey 1.0 for dull of checks, the driver grey 1.0"
    assert said_by(asks) == "has nothing for dull of checks, the driver grey 1.0"


def test_a_step_registered_by_hand_is_known_to_this_process_alone() -> None:
    step = object()
    register("sources", "mine", step)

    assert "mine" in names_in("sources") and load("sources", "mine") is step
    used = Used("sources", "mine", "registered by hand", "")
    assert unlike_here([used]) == "has nothing for mine of sources, the driver registered by hand"


def test_a_reason_of_a_package_has_its_name_before_it() -> None:
    assert OwnReason("greenery.too_green", "green").class_ is ReasonClass.NEVER
    with pytest.raises(ValueError, match=r"PACKAGE\.WORD"):
        OwnReason("too_green", "green")


@pytest.mark.usefixtures("registered")
def test_a_key_that_two_packages_bring_is_an_error() -> None:
    facts = CheckFacts("pale", OwnReason("other.pale", "pale"), "flag", "pale", (Setting("dullest", 0.5, "share"),))
    register("checks", "pale", Check("pale", "audio", lambda seen, config: "", facts=facts))

    assert MediaConfig.model_validate({"checks": {"pale": "flag"}}).checks.dullest == 0.5
    with pytest.raises(UserError, match="the key dullest"):
        MediaConfig.model_validate({"checks": {"pale": "flag", "dull": "flag"}})


def test_a_source_of_a_package_needs_its_section() -> None:
    register("sources", "feed", Source(rows=lambda settings, ask: [], settings=(Setting("pages", (), "addresses"),)))
    tree = {"out": "out", "crawl": {"sources": ["feed"]}}

    with pytest.raises(ConfigError, match=r"sources: \{feed: \{\}\}"):
        parse_config(RunConfig, tree, source="run.yaml")
    config = parse_config(RunConfig, {**tree, "sources": {"feed": {"pages": ["http://a"]}}}, source="run.yaml")
    assert config.sources.feed.pages == ("http://a",)
    assert identity_values(config)["sources.feed.pages"] == (["http://a"], "urls")


def test_a_model_of_a_package_is_a_kind_like_ours() -> None:
    code = (
        "from manifests.plugins import register\n"
        "from train.models.registry import ModelKind, kind_named\n"
        "from train.models.soho.kind import KIND\n"
        "register('models', 'mine', KIND)\n"
        "print(kind_named('mine') is KIND)\n"
        "try: kind_named('mines')\n"
        "except ValueError as error: print(error)\n"
    )

    assert said_by(code).splitlines() == ["True", "kind 'mines' is not a model; did you mean mine?"]


def test_a_step_that_is_something_else_is_refused() -> None:
    register("checks", "odd", object())
    with pytest.raises(UserError, match="odd of checks"):
        MediaConfig.model_validate({"checks": {"odd": "flag"}})
