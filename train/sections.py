"""The sections of a run's YAML that no model shapes, every key documented; the whole of it is `train.config`.

Nothing here loads torch, which takes seconds: a wrong key is told at once.
"""

from typing import Any, ClassVar, Literal

from pydantic import field_validator

from manifests.settings import Section, identity, operational
from train.data.registry import view_names


class DataConfig(Section):
    """What is read, in which order, and how much may be lost."""

    manifest: str = identity(
        "", doc="manifest.json of the data set (or the folder that holds it); a path or an fsspec url"
    )
    videos: str = identity(
        "",
        doc="in place of data.manifest: a folder of video files, found by name in it and its subfolders, with "
        "data.captions or data.questions; files are decoded as they are, like data.source: whole",
    )
    split: str = identity("train", doc="split that is trained on")
    val_split: str = identity("val", doc="split that is evaluated on")
    source: Literal["auto", "prepared", "whole"] = identity(
        "auto",
        doc="prepared: stills and low-resolution proxy (mjpg, m4v); whole: the 720p mp4; "
        "auto: prepared where all samples have it",
    )
    view: str = identity(
        "hybrid",
        doc="what the model sees of a sample. hybrid: the centre frame in high resolution, its neighbours in "
        "low; high: the centre frame alone; low: all frames of a segment in low resolution; not given: what the "
        "model's kind takes",
    )
    stride: int = identity(
        12, ge=1, doc="distance between a segment's frames, in frames of the source; less in clips too short for it"
    )
    fps: float = identity(
        0.0, ge=0, doc="frame rate in which data.stride counts (6: as in the paper's fine-tuning); 0: the source's"
    )
    flip: float = identity(
        0.0,
        ge=0,
        le=1,
        doc="probability that a clip is mirrored left to right in training; captions stay as they are, so "
        "leave it at 0 where they name sides",
    )
    order: Literal["planned", "streaming"] = identity(
        "planned",
        doc="planned: reads by offset in one global order, exact at every world size and across resumes; "
        "streaming: whole shards in sequence through webdataset, which promises neither that each sample comes once "
        "an epoch nor an exact resume",
    )
    window_shards: int = identity(
        16,
        ge=1,
        doc="planned: shards whose samples are shuffled together; streaming: five times the shuffle buffer, in shards",
    )
    weights: dict[str, float] = identity(
        dict, doc="mixing weight by category name or id: how often its samples occur in an epoch; 1 if not named"
    )
    where: str = identity(
        "",
        doc="which samples are trained on: an expression of SQL over the columns of a shard's rows, such as "
        '"motion > .1 and not flags.profanity"; what it says nothing of (null) is left out; docs/training.md',
    )
    sample_weight: str = identity(
        "", doc="how often a sample occurs in an epoch: a column or an expression, as data.where; null is 0"
    )
    scores: str = identity(
        "",
        doc="folder of `hdvila-train embed`, whose match and match_rank data.where and data.sample_weight can name",
    )
    backend: Literal["pyav", "decord"] = identity("pyav", doc="decoder of the 720p mp4; both give the same pixels")
    tokenizer: str = identity(
        "",
        doc="vocab.txt, tokenizer.json or a folder with one; '' takes the one beside the initial weights "
        "(model.model_weights, model.bert_weights), or makes one from the captions where they are random",
    )
    captions: str = identity(
        "",
        doc="caption file of a benchmark, as published: training reads the samples that it names, with one of a "
        "sample's texts a draw in place of its own; docs/evaluating.md has the forms",
    )
    captions_split: str = identity(
        "",
        doc="split of data.captions: a name in it (train if not given), or a file that lists the videos, such as "
        "MSRVTT_train.9k.csv",
    )
    questions: str = identity(
        "",
        doc="file of questions about videos, as published (MSRVTT-QA, TGIF-QA, MSRVTT-MC): training reads the samples "
        "that it names, each as often as it asks about it; docs/evaluating.md has the forms",
    )
    answers: str = identity(
        "",
        doc="the answers that are classes, for a model with n_answers: an imported set's answers.json; "
        "with data.questions '' for the commonest of its answers",
    )
    max_bad_shards: int = operational(
        0, ge=0, doc="number of unreadable shards that are skipped and counted before the run stops"
    )
    workers: int = operational(0, ge=0, doc="processes per rank that read and decode; 0: the training process itself")
    storage_options: dict[str, Any] = operational(
        dict, doc="fsspec options (endpoint, profile …); keep secrets in the environment instead"
    )

    @field_validator("view")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in view_names():
            raise ValueError(f"{name} is not one of {', '.join(view_names())}")
        return name


class OptimConfig(Section):
    """The optimiser and its learning-rate schedule. Defaults are those of HD-VILA's stage 1."""

    fixed: ClassVar[tuple[str, ...]] = ("eps",)
    eps: ClassVar[float] = 1e-6
    """AdamW's epsilon, as in HD-VILA's published recipe."""

    lr: float = identity(5e-5, gt=0, doc="peak learning rate")
    lr_scale: dict[str, float] = identity(
        dict,
        doc="factor on lr by pattern of parameters' names (transformer.bert.*); the product of all that match",
    )
    weight_decay: float = identity(1e-3, ge=0, doc="decoupled weight decay")
    weight_decay_scale: dict[str, float] = identity(dict, doc="factor on weight_decay, as lr_scale")
    decay_norms: bool = identity(
        False, doc="also decay the gains of batch norms and space-time norms, as the official code does"
    )
    betas: tuple[float, float] = identity((0.9, 0.98), doc="AdamW's averaging factors")
    schedule: Literal["cosine", "linear", "constant", "milestones"] = identity(
        "linear", doc="after warm-up: cosine or linear (down to zero), constant, milestones (halved at each)"
    )
    warmup: float = identity(0.1, ge=0, lt=1, doc="share of all steps over which the rate rises")
    milestones: tuple[float, ...] = identity(
        (), doc="for schedule milestones: shares of all steps at which the rate is halved"
    )
    clip_norm: float = identity(5.0, ge=0, doc="largest global L2 norm of the gradient; 0 for no clipping")


class LoopConfig(Section):
    """How long a run is, how large its batches are, and which devices it uses, and how."""

    steps: int = identity(0, ge=0, doc="optimiser steps of the run; 0: given by epochs")
    epochs: float = identity(0.0, ge=0, doc="passes over the train split; 0: given by steps")
    batch: int = identity(
        64, ge=1, doc="clips per step over all ranks, which the contrastive loss compares; a multiple of the world size"
    )
    micro_batch: int = operational(
        0,
        ge=0,
        doc="clips that a rank passes through the model at once; with less than its share, contrastive "
        "gradients are cached and stay those of the whole batch; 0: all",
    )
    nonfinite: Literal["stop", "skip"] = operational(
        "stop",
        doc="at a step whose gradients are not finite. stop: the run ends, with a checkpoint from before it; skip: the "
        "step is left out on all ranks and counted; after ten in a row the run ends",
    )
    precision: Literal["fp32", "bf16"] = identity("fp32", doc="bf16: autocast, fp32 master weights")
    strategy: Literal["auto", "none", "ddp", "fsdp2"] = operational(
        "auto", doc="auto: ddp under torchrun, none for one process"
    )
    device: Literal["auto", "cpu", "cuda"] = operational("auto", doc="auto: cuda where there is one")
    shard: Literal["node", "world"] = operational(
        "node",
        doc="fsdp2: node: the GPUs of each node share the weights, and every node has a full copy; world: "
        "all GPUs share them",
    )
    compile: bool = operational(False, doc="compile each block of the model by itself (torch.compile)")
    channels_last: bool = operational(
        False, doc="store convolutions' weights and feature maps channels last, as tensor cores prefer (not with fsdp2)"
    )
    tf32: bool = operational(
        False, doc="fp32 products and convolutions use TF32 (10 bits of mantissa): faster, accurate to 1e-3"
    )
    threads: int = operational(0, ge=0, doc="CPU threads of torch in this process; 0: torch's choice")


class CheckpointConfig(Section):
    """When checkpoints are written, and which are kept."""

    every: int = operational(500, ge=0, doc="steps between checkpoints; 0: only at the end and at SIGTERM")
    keep: int = operational(3, ge=1, doc="number of newest checkpoints to keep; the best by validation is always kept")


class EvalConfig(Section):
    """How often, and on which held-out clips, the model is evaluated."""

    every: int = operational(1000, ge=0, doc="steps between evaluations; 0: only at the end")
    max_clips: int = operational(0, ge=0, doc="number of clips of the val split to use, the first in its order; 0: all")
    batch: int = operational(16, ge=1, doc="clips that each rank embeds at once")
    captions: str = operational(
        "",
        doc="caption file of a benchmark: retrieval is scored on its queries instead of on the val split, or choosing, "
        "where a video has several texts of which one is right (MSRVTT-MC)",
    )
    captions_split: str = operational(
        "", doc="split of eval.captions: a name in it (test, or val, if not given), or a file that lists the videos"
    )
    questions: str = operational(
        "", doc="file of questions about videos, by whose answers a model with data.questions is scored"
    )
    videos: str = operational(
        "",
        doc="videos of eval.captions or eval.questions: a folder or a manifest; '' for data.videos or data.manifest, "
        "all splits",
    )


class ProfileConfig(Section):
    """A few steps in detail."""

    at: int = operational(0, ge=0, doc="first step (from 1) that is profiled; 0: none")
    steps: int = operational(5, ge=1, doc="number of steps that are profiled")


class ObserveConfig(Section):
    """Where a run reports its progress. metrics.jsonl is always written."""

    every: int = operational(10, ge=1, doc="steps between lines on the terminal and points in TensorBoard")
    profile: ProfileConfig = ProfileConfig()
    tensorboard: bool = operational(True, doc="write events to RUN/tensorboard")


class Sections(Section):
    """The whole configuration, without knowing the keys of `model` and `objective`."""

    seed: int = identity(0, ge=0, doc="seed of weights, order, augmentation and dropout")
    out: str = operational("out/train", doc="the run's folder, or its address in a bucket: checkpoints, metrics, logs")
    data: DataConfig
    model: Any = None
    objective: Any = None
    optim: OptimConfig = OptimConfig()
    loop: LoopConfig = LoopConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    eval: EvalConfig = EvalConfig()
    observe: ObserveConfig = ObserveConfig()
    plugins: dict[str, str] = identity(
        dict, doc="filled in by the trainer: other packages' model, view and objectives, each with its version"
    )
