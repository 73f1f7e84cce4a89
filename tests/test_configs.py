"""The configurations that ship load as they stand, and every one that the containers name is there."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement

import pipeline.cli
from manifests.settings import load_config
from pipeline.config import RunConfig
from pipeline.config.ydl_opts import TRUST
from train.commands.init import STARTS
from train.config import TrainConfig

REPO = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", sorted(REPO.glob("configs/run*.yaml")), ids=lambda path: path.name)
def test_a_runs_configuration_loads_as_it_stands(path: Path) -> None:
    config = load_config(RunConfig, path, ["engine.ray_address=auto"], context={TRUST: path.stem == "run_compose"})

    assert config.shards.card.contact == ""


@pytest.mark.parametrize(
    ("name", "frames", "stride", "segments", "batch", "epochs"),
    [
        ("msrvtt", 7, 4, 2, 64, 200),
        ("didemo", 11, 2, 4, 32, 100),
        ("lsmdc", 11, 3, 2, 64, 20),
        ("activitynet", 13, 4, 4, 32, 100),
    ],
)
def test_fine_tuning_recipes_have_the_papers_numbers(name, frames, stride, segments, batch, epochs) -> None:
    config = load_config(TrainConfig, STARTS[f"finetune_{name}"])

    assert (config.model.n_frames, config.data.stride, config.model.n_segments) == (frames, stride, segments)
    assert (config.loop.batch, config.loop.epochs, config.data.fps) == (batch, epochs, 6)
    assert config.model.temperature == 0.08
    halved = [round(share * epochs) for share in config.optim.milestones]
    assert halved == {"msrvtt": [32, 64, 128], "lsmdc": [4, 8, 16]}.get(name, [8, 16, 32, 64])


def test_every_configuration_that_compose_runs_is_mounted_and_there() -> None:
    services = yaml.safe_load((REPO / "docker" / "compose.yaml").read_text())["services"]
    named = {
        (volume.partition(":/config")[0], name)
        for service in services.values()
        for volume in service.get("volumes", [])
        if ":/config:ro" in volume
        for name in re.findall(r"/config/([\w.-]+)", service["command"])
    }

    assert {name for _, name in named} == {"run.yaml", "run_compose.yaml", "hd_vila.yaml"}
    assert [name for folder, name in named if not (REPO / "docker" / folder / name).is_file()] == []


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPO / "docker" / "compose.yaml").read_text())
    return document


def test_compose_opens_ports_on_loopback_only_and_its_ray_asks_for_a_token() -> None:
    services = compose()["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    rays = [s for s in services.values() if "ray start" in s["command"] or "hdvila-pipeline run" in s["command"]]
    assert len(rays) == 4
    for service in rays:
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == f"/run/secrets/{service['secrets'][0]}"
    assert "RAY_AUTH_TOKEN" not in (REPO / "docker" / "compose.yaml").read_text().replace("RAY_AUTH_TOKEN_PATH", "")


def test_compose_is_a_head_two_workers_a_bucket_and_a_site_and_names_only_what_it_has() -> None:
    document = compose()
    services = document["services"]

    assert services["worker"]["deploy"]["replicas"] == 2
    assert {"head", "s3", "mini-youtube"} <= services.keys()
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= services.keys(), name
        assert set(service.get("secrets", [])) <= document["secrets"].keys(), name
        mounts = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert {mount for mount in mounts if not mount.startswith(".")} <= document["volumes"].keys(), name
        if build := service.get("build"):
            assert (REPO / build["dockerfile"]).is_file(), name
        program, *words = shlex.split(service["command"].rpartition(" -- ")[2])
        if program == "hdvila-pipeline":
            program_of_ours: Any = typer.main.get_command(pipeline.cli.app)
            program_of_ours.commands[words[0]].make_context(name, words[1:])


def test_composes_runs_are_jobs_on_the_head_and_wait_until_it_takes_them() -> None:
    """A driver finds Ray by a node of its own machine, and a container of its own has none."""
    services = compose()["services"]
    runs = {name: service for name, service in services.items() if "hdvila-pipeline run" in service["command"]}

    assert runs.keys() == {"demo", "run"}
    for service in runs.values():
        submit, _, driver = service["command"].partition(" -- ")
        assert submit == "ray job submit --address http://head:8265"
        assert driver.startswith("hdvila-pipeline run /config/")
        assert service["depends_on"]["head"] == {"condition": "service_healthy"}
    assert "ray job list --address http://head:8265" in str(services["head"]["healthcheck"]["test"])
    assert "--dashboard-host=0.0.0.0" in services["head"]["command"]


def test_kuberay_asks_for_a_token_too_and_grows_with_the_work() -> None:
    spec = yaml.safe_load((REPO / "docker" / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]

    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        container = group["template"]["spec"]["containers"][0]
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert groups.keys() == {"cpu", "spot"} and groups["spot"]["template"]["spec"]["tolerations"]
    for group in groups.values():
        assert group["minReplicas"] < group["maxReplicas"]
        pod = group["template"]["spec"]
        (drains,) = [one["value"] for one in pod["containers"][0]["env"] if "DRAIN_TIMEOUT_S" in one["name"]]
        assert int(drains) + 10 == pod["terminationGracePeriodSeconds"], "Ray's notice, and then the pod's end"


def test_rays_version_is_that_of_the_constraints_where_it_is_said_again() -> None:
    (taken,) = re.findall(r"^ray==([\d.]+)", (REPO / "constraints.txt").read_text(), re.M)
    said = re.findall(r"rayVersion: (\S+)", (REPO / "docker" / "kuberay.yaml").read_text())

    assert said == [f'"{taken}"']
    assert "rayproject/ray" not in (REPO / "docker" / "compose.yaml").read_text(), "its image takes the constraints"


def test_every_package_that_we_name_has_a_version_that_installs_take() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    lines = [Requirement(line) for line in (REPO / "constraints.txt").read_text().splitlines()]
    taken = {line.name: str(line.specifier).removeprefix("==") for line in lines}

    assert [one for one in map(Requirement, named) if not one.specifier.contains(taken.get(one.name, "0"))] == []
    installs = [REPO / "Makefile", REPO / "docker/pipeline.Dockerfile", REPO / "docker/train.Dockerfile"]
    assert all("-c constraints.txt" in path.read_text() for path in installs)


def test_images_of_others_are_pinned_to_digests() -> None:
    files = "".join(path.read_text() for path in (REPO / "docker").iterdir() if path.is_file())
    taken = re.findall(r"^(?: *image:|FROM) +((?!hdvila-)\S+)$", files, re.M)

    assert len(taken) == 3 and all(re.search("@sha256:[0-9a-f]{64}$", image) for image in taken)


def test_images_are_given_what_their_dockerfiles_copy() -> None:
    given = {line.removeprefix("!") for line in (REPO / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    for name in ("pipeline", "train"):
        copied = re.findall(r"^COPY (.+) \S+$", (REPO / f"docker/{name}.Dockerfile").read_text(), re.M)
        assert {file for line in copied for file in line.split()} == given


def test_the_forge_runs_the_two_commands_on_every_supported_python() -> None:
    jobs = yaml.safe_load((REPO / ".github/workflows/checks.yml").read_text())["jobs"]
    supported = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["classifiers"]

    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    assert [f"Programming Language :: Python :: {one}" for one in pythons] == [
        line for line in supported if re.search(r"3\.\d", line)
    ]
    said = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    targets = re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.M)
    assert {"lint", "docs", "demo", "test"} <= set(targets) and "make demo" in said and "test PYTHON" in said
