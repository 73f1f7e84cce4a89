"""The configuration of a training run: a single YAML, every key documented (`hdvila-train config --schema`).

A run is defined by this file, a seed and a manifest; the same three give the same loss curve. *Operational* keys
(workers, device, logging) may change when a run is resumed; a changed *identity* key is refused.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import SerializeAsAny, model_validator

from manifests.plugins import names_in, package_of
from manifests.settings import Section, one_of
from train.data.registry import VIEWS
from train.models.base import ModelSection
from train.models.registry import MODELS, kind_named, kind_of, parse_section, sections
from train.objectives import active, objective_section, parse_objective
from train.sections import OptimConfig, Sections

HARMLESS_OPTIONS = frozenset(
    [
        "anon",
        "endpoint_url",
        "profile",
        "region_name",
        "requester_pays",
        "use_ssl",
        "project",
        "default_block_size",
        "client_kwargs",
    ]
)
"""File system options that hold no secrets; any other option might."""


def _harmless(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps only harmless options, also inside nested ones, and drops user names and passwords from URLs."""
    kept = {key: value for key, value in options.items() if key in HARMLESS_OPTIONS}
    return {
        key: _harmless(value)
        if isinstance(value, Mapping)
        else re.sub(r"//[^/@]*@", "//", value)
        if isinstance(value, str)
        else value
        for key, value in kept.items()
    }


def _objective_sections() -> Mapping[str, type[Section]]:
    return {"": objective_section()}


class TrainConfig(Sections):
    """The whole configuration: everything that `hdvila-train fit` needs."""

    model: Annotated[SerializeAsAny[ModelSection], *one_of(sections, parse_section, dict)]
    objective: Annotated[SerializeAsAny[Section], *one_of(_objective_sections, parse_objective, dict)]

    def fixed_values(self) -> dict[str, Any]:
        """{dotted name: value} of what changes a run's numbers though no key sets it: a checkpoint pins these too."""
        sections: dict[str, OptimConfig | ModelSection] = {"optim": self.optim, "model": self.model}
        return {f"{name}.{key}": getattr(part, key) for name, part in sections.items() for key in part.fixed}

    def record(self) -> dict[str, Any]:
        """The configuration as a run records it for others to read: without secrets.

        Of `data.storage_options` only what is known to be harmless is kept. Keys and tokens belong in the environment;
        otherwise they have to be given again.
        """
        tree = self.model_dump(mode="json")
        tree["data"]["storage_options"] = _harmless(tree["data"]["storage_options"])
        return tree

    @model_validator(mode="before")
    @classmethod
    def _models_own_view(cls, given: Any) -> Any:
        data, model = (given.get(name) for name in ("data", "model")) if isinstance(given, Mapping) else (None, None)
        kind = model.get("kind") if isinstance(model, Mapping) else getattr(model, "kind", None)
        if (kind in MODELS or kind in names_in("models")) and isinstance(data, Mapping) and "view" not in data:
            asks = model.get("n_answers") if isinstance(model, Mapping) else getattr(model, "n_answers", 0)
            view = kind_named(kind).view
            return {**given, "data": {**data, "view": "question" if asks and view == "picture" else view}}
        return given

    @model_validator(mode="after")
    def _possible(self) -> "TrainConfig":
        loop, model = self.loop, self.model
        if bool(loop.steps) == bool(loop.epochs):
            raise ValueError("give either loop.steps or loop.epochs: the other is 0 (--set loop.epochs=0)")
        self._data_possible()
        weights = {objective.name: weight for objective, weight in active(self.objective)}
        if not weights:
            raise ValueError("every weight of objective is 0: nothing would be learned")
        kind = kind_of(model)
        serving = {objective.name for objective, _ in active(self.objective) if model.kind in objective.models}
        foreign = sorted(weights.keys() - {*kind.objectives, *serving})
        if foreign:
            names = ", ".join(f"objective.{name}" for name in foreign)
            raise ValueError(f"{names}: model.kind {model.kind} has {', '.join(kind.objectives)}; set it to 0")
        kind.refuse(model, weights)
        has_towers, answers = "contrastive" in kind.objectives, "answers" in weights
        self._asks_possible(answers and has_towers, has_towers and not answers)
        self.plugins.clear()
        self.plugins.update(self._plugins())
        if "contrastive" in weights and loop.batch < 2:
            raise ValueError("loop.batch must be at least 2: a contrastive loss needs another clip to compare with")
        return self

    def _data_possible(self) -> None:
        data = self.data
        texts = [f"data.{name}" for name in ("captions", "questions") if getattr(data, name)]
        if bool(data.manifest) == bool(data.videos):
            raise ValueError("give either data.manifest or data.videos")
        if data.videos and not texts:
            raise ValueError("data.videos: files have no texts of their own; name them in data.captions")
        if len(texts) > 1:
            raise ValueError("data.captions and data.questions: give one of them")
        if texts and data.order != "planned":
            raise ValueError(f"{texts[0]}: streaming reads whole shards as they are; set data.order: planned")
        chooses = [f"data.{name}" for name in ("where", "sample_weight") if getattr(data, name)]
        if data.scores and not chooses:
            raise ValueError("data.scores: nothing uses them; name one in data.where or data.sample_weight")
        if chooses and (data.videos or data.order != "planned"):
            raise ValueError(f"{chooses[0]}: needs data.manifest, for its columns, and data.order: planned")

    def _asks_possible(self, asks: bool, has_towers: bool) -> None:
        if asks != bool(self.data.questions):
            raise ValueError("data.questions and objective.answers go together (model.kind hd_vila)")
        if self.eval.captions and not has_towers:
            raise ValueError("eval.captions: retrieval needs towers, and this model has none")
        if self.eval.questions and not asks:
            raise ValueError("eval.questions: needs a model that is trained on data.questions")

    def _plugins(self) -> dict[str, str]:
        chosen = {("models", self.model.kind): MODELS, ("views", self.data.view): VIEWS}
        brought = {name: package_of(group, name) for (group, name), ours in chosen.items() if name not in ours}
        return {**brought, **type(self.objective).packages}
