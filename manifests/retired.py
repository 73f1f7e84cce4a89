"""Names that earlier versions of this code had: commands, options and settings, each with what to use instead.

Whoever writes one of them is told so in one line, by both programs (`manifests/commands.py` looks a command line up,
`manifests/settings.py` a key or a value). Nothing else in the code knows that these names ever existed.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

PIPELINE: Mapping[str, str] = MappingProxyType(
    {
        "reshard --where": "choose when training: data.where takes the same expression",
        "reshard --scores": "choose when training: data.scores names the folder, data.where the score",
        "reshard --set": "choose when training: data.where, data.sample_weight; or run again with --redo balance",
        "remove --report": "removals/ keeps the ids and keys of each removal, and the command prints what it found",
        "export --push": "upload the folder with huggingface_hub: `hf upload OWNER/NAME DIR`",
        "export --public": "`hf upload` makes a repository public or private",
        "fsck": "`verify` reads every byte of a data set; `run` names what is lost of a run, or makes it again",
        "pause": "send the run SIGTERM: it stops with everything saved",
        "resume": "start the same `run` again: it goes on from what is committed",
        "identity": "stop the run, change crawl.identities in its YAML, and start it again",
        "show --html": "`browse DIR` is the page, with the clips; `show transcript FILE --json` is for programs",
        "estimate": "`run --dry-run` says quotas, requests and days",
        "debug": "run the videos wanted into a new directory: `run --set engine.executor=local --set out=DIR`",
        "mini-youtube": "python -m miniyoutube serves the embedded site",
        "rates": "stop the run, change the rates in its YAML, and start it again",
    }
)
"""Commands (`pause`) and options (`merge --push`) of hdvila-pipeline that are gone: what to use instead."""

TRAIN: Mapping[str, str] = MappingProxyType(
    {
        "distill": "`init distill` writes a run that learns from the rows of `embed`; export it with --format onnx",
        "adapt": "`init adapt` writes a run that goes on from a trained model's weights on other clips",
        "convert --layout": "towers are written for transformers",
        "crossfit --finer": "leave out what does not fit: data.where of where.txt, or data.sample_weight of weight.txt",
        "eval --rerank": "`eval` ranks by the towers; SOHO and Visual Parsing match every pair with --matching",
        "check --workers": "check prints what one worker loads; a run has data.workers",
        "export --push": "upload the folder with huggingface_hub: `hf upload OWNER/NAME DIR`",
        "export --public": "`hf upload` makes a repository public or private",
    }
)
"""Commands and options of hdvila-train that are gone: what to use instead."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "crawl.opt_out_alike": "name an altered copy by its own id: tombstones keep ids, addresses, hashes of files",
        "shards.card.creator": "say it in shards.card.citation or shards.card.description",
        "crawl.identities.impersonate": "ydl_opts: {impersonate: chrome} of the identity",
        "crawl.identities.headers": "ydl_opts: {http_headers: {…}} of the identity",
        "crawl.identities.source_address": "ydl_opts: {source_address: …} of the identity",
        "crawl.identities.po_tokens": "ydl_opts: {extractor_args: {youtube: {po_token: […]}}} of the identity",
        "crawl.identities.visitor_data": "ydl_opts: {extractor_args: {youtube: {visitor_data: […]}}} of the identity",
        "crawl.impersonate": "crawl.ydl_opts: {impersonate: chrome}",
        "crawl.player_clients": "crawl.ydl_opts: {extractor_args: {youtube: {player_client: […]}}}",
        "crawl.extractor_args": "crawl.ydl_opts: {extractor_args: {…}}",
        "crawl.pot_provider": "a plugin asks http://127.0.0.1:4416 by itself; for another address give crawl.ydl_opts: "
        "{extractor_args: {youtubepot-bgutilhttp: {base_url: […]}}} and --trust-ydl-opts",
        "crawl.politeness.most_requests_per_minute": "give each identity its share (identity_requests_per_minute)",
        "optim.ema_decay": "a schedule that ends at a rate of zero (optim.schedule: linear, cosine)",
        "optim.layer_decay": "optim.lr_scale takes a factor by pattern of names",
        "optim.optimizer": "AdamW trains every parameter; optim.lr_scale sets rates by pattern of names",
        "data.grow": "a run stays on its manifest: export it, and start a new run with model.model_weights",
        "urls": "media_urls.allow has the prefixes of the addresses and buckets that may be read",
        "crawl.lists.transcripts": "leave it out: of videos whose clips come with texts no captions are fetched",
        "model.lora_rank": "model.image_tune and text_tune full, with a lower optim.lr, or frozen",
        "model.image_tune=lora": "full, with a lower optim.lr, or frozen",
        "model.text_tune=lora": "full, with a lower optim.lr, or frozen",
        "model.n_pictures": "leave it out: a question is about one picture (VQA)",
        "objective.answers_kind=count": "one, with the counts as classes (model.n_answers)",
        "eval.attributes": "compare the rows of `hdvila-train embed`; bench/learning/hybrid_vs_low.py does so",
        "objective.itm_negatives": "leave it out: the wrong text of a pair is any of the batch",
        "observe.wandb_project": "observe.tensorboard: wandb sync reads its events",
        "data.view=mean": "low gives the model all of these frames",
        "data.view=low_upscaled": "compare hybrid with low",
        "data.view=image": "high, with model.n_segments: 1",
        "media.checks.overlay": "a check of your own (docs/extending.md), such as a detector of logos",
        "media.checks.most_overlay": "a check of your own (docs/extending.md), such as a detector of logos",
        "media.checks.blocky": "a check of your own (docs/extending.md); codecs of today leave no such blocks",
        "media.checks.most_blocky": "a check of your own (docs/extending.md); codecs of today leave no such blocks",
        "media.checks.low_heard": "scores of `hdvila-train embed` say how well a text fits its clip (data.scores)",
        "media.checks.least_heard": "scores of `hdvila-train embed` say how well a text fits its clip (data.scores)",
        "media.checks.other_speech": "scores of `hdvila-train embed` say how well a text fits its clip (data.scores)",
        "media.checks.doubted_border": "media.cut.borders: silence moves borders out of speech",
        "media.cut.mode=keyframe": "remux: offset_ms says where the sentence begins; a reader may start at 0 instead",
        "media.scenes.detector=content": "shots, which finds what it finds, and dissolves, fades and wipes",
        "media.scenes.detector=adaptive": "shots, which finds what it finds, and dissolves, fades and wipes",
        "data.max_lost_share": "a run stops where 5 % of its samples cannot be used",
        "observe.peak_tflops": "MFU is of the GPUs that train/loop/observe.py knows",
        "text.filters.reject_flags=boilerplate": "balance.text_duplicates.repeated_sentences finds what is said again",
    }
)
"""Keys (`crawl.a_key`, places in lists left out), whole sections, and values (`media.mode=fast`) that are gone, of both
programs: what to use instead.
"""


def retired_command(line: Sequence[str], gone: Mapping[str, str]) -> str:
    """What to say of a command line that names a retired command or option; "" if it names none."""
    if not line:
        return ""
    names = [line[0], *(f"{line[0]} {word.partition('=')[0]}" for word in line[1:] if word.startswith("-"))]
    found = next((name for name in names if name in gone), "")
    return f"{found}: no longer there; {gone[found]}" if found else ""


def retired_setting(key: str, value: object = None) -> str:
    """What to use instead of a retired key or value; "" if neither the key, a section around it, nor the value is."""
    if instead := SETTINGS.get(f"{key}={value}"):
        return instead
    parts = key.split(".")
    sections = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((SETTINGS[section] for section in sections if section in SETTINGS), "")


def is_retired_name(name: str) -> bool:
    """Whether a key of this name is gone, in any section."""
    return any(key.rpartition(".")[2] == name for key in SETTINGS)
