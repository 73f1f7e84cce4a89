"""Search by meaning: a sentence or a clip in, the nearest clips out, or the command that makes what is missing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from manifests.embeddings import Head, put_head, table_bytes
from manifests.errors import UserError
from manifests.schema import EMBEDDED
from manifests.shards import read_manifest
from pipeline.browse import meaning as module
from pipeline.browse.marks import Marks
from pipeline.browse.meaning import Meaning
from pipeline.browse.rows import Rows
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from tests.pipeline.browse.client import serving
from tests.pipeline.browse.conftest import a_run

pytest.importorskip("faiss", reason="search by meaning needs faiss-cpu: pip install 'hdvila[meaning]'")
onnx = pytest.importorskip("onnx")
WIDTH, LENGTH = 24, 12


def a_tower(folder: Path, seed: int = 0) -> Path:
    """An export's text tower: a sentence is the sum of the vectors of its words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "this", "is", "sentence", "of", "video", *"012", *(f"video{k:06d}" for k in range(4))]
    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    tokenizer.save(str(folder / "text.tokenizer.json"))
    helper, kinds = onnx.helper, onnx.TensorProto
    table = np.random.default_rng(seed).normal(size=(len(words), WIDTH)).astype(np.float32)
    table[0] = 0
    ids, mask = (helper.make_tensor_value_info(n, kinds.INT64, ["n", LENGTH]) for n in ("input_ids", "attention_mask"))
    out = helper.make_tensor_value_info("text_embeds", kinds.FLOAT, ["n", WIDTH])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("ReduceSum", ["vectors", "axes"], ["text_embeds"], keepdims=0),
    ]
    given = [onnx.numpy_helper.from_array(table, "table"), onnx.numpy_helper.from_array(np.array([1]), "axes")]
    graph = helper.make_graph(nodes, "text", [ids, mask], [out], given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(folder / "text.onnx"))
    return folder


def embed(store: Store, tower: Path) -> None:
    """Tables as `hdvila-train embed` writes them, of a model whose clips show what their sentences say."""
    manifest = read_manifest(store.url)
    files, head = store / "embeddings/a-model", Head("a-model", manifest.sha256, WIDTH, 1, 1)
    put_head(files, head)
    words = module._Tower(tower)
    for shard in manifest.shards:
        rows = pq.read_table(Path(store.root) / shard.url.replace(".tar", ".parquet"))
        rows = rows.filter(pc.field("status") == "success")
        made = words.embed(rows["caption"].to_pylist())
        columns: dict[str, Any] = {name: np.zeros(len(made)) for name in EMBEDDED.names} | {
            "key": rows["key"].to_pylist()
        }
        blurred = made + np.random.default_rng(1).normal(scale=0.01, size=made.shape)
        name = f"{shard.split}-{Path(shard.url).stem}.parquet"
        files.write(name, table_bytes(shard, head, columns, blurred.astype(np.float16), made.astype(np.float16)))


@pytest.fixture
def run(tmp_path: Path) -> tuple[Store, Path]:
    store, tower = a_run(tmp_path / "out"), a_tower(tmp_path / "tower")
    embed(store, tower)
    return store, tower


@pytest.fixture
def rows(run: tuple[Store, Path]) -> Iterator[Rows]:
    with closing(Rows(run[0])) as opened:
        yield opened


@pytest.mark.parametrize("most_exact", [50_000, 4])
def test_the_nearest_clips_are_those_that_mean_it(
    run: tuple[Store, Path], rows: Rows, monkeypatch: pytest.MonkeyPatch, most_exact: int
) -> None:
    monkeypatch.setattr(module, "MOST_EXACT", most_exact)
    meaning = Meaning(run[0], rows, run[1])
    assert meaning.lacks() == ""
    found = meaning.near_text("video000002 sentence 1")
    assert found[0][0]["clip_id"] == "video000002.1" and len(found) == 8 and found[0][1] > 0.7
    assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
    near = meaning.near_clip(found[0][0])
    assert near[0][0]["clip_id"] == "video000002.1" and near[0][1] == pytest.approx(1, abs=0.01)
    assert {row["video_id"] for row, _ in near[1:3]} == {"video000002"}


def test_what_is_missing_is_named_with_the_command_that_makes_it(
    finished: Store, run: tuple[Store, Path], rows: Rows, tmp_path: Path
) -> None:
    with closing(Rows(finished)) as without:
        meaning = Meaning(finished, without, run[1])
        for ask in (lambda: meaning.near_text("a"), lambda: meaning.near_clip(without.find(without.read("")).rows[0])):
            with pytest.raises(UserError, match=f"hdvila-train embed MODEL {finished.url}"):
                ask()
    with pytest.raises(UserError, match="hdvila-train export MODEL FOLDER --format onnx"):
        Meaning(run[0], rows, None).near_text("a")
    with pytest.raises(UserError, match=r"no text.onnx and no text.tokenizer.json"):
        Meaning(run[0], rows, tmp_path).near_text("a")
    rejected = rows.find(rows.read("status:rejected")).rows[0]
    with pytest.raises(UserError, match="has no embedding"):
        Meaning(run[0], rows, None).near_clip(rejected)


def test_the_tower_of_another_model_is_refused(run: tuple[Store, Path], rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export the model that made these"):
        Meaning(run[0], rows, a_tower(tmp_path / "other", seed=1)).near_text("video")
    (run[1] / "text.onnx").write_bytes(b"no tower")
    with pytest.raises(UserError, match="cannot be read as a text tower"):
        Meaning(run[0], rows, run[1]).near_text("video")


def test_a_removed_video_is_near_to_nothing_and_a_damaged_table_is_named(run: tuple[Store, Path]) -> None:
    store, tower = run
    with closing(Rows(store)) as rows:
        assert Meaning(store, rows, tower).near_text("video000002")[0][0]["video_id"] == "video000002"
    remove(store, Tombstones(videos=frozenset(["video000002"])))
    with closing(Rows(store)) as rows:
        found = Meaning(store, rows, tower).near_text("video000002")
        assert found and all(row["video_id"] != "video000002" for row, _ in found)
    table = next(Path(store.root).glob("embeddings/*/*.parquet"))
    table.write_bytes(b"no table")
    with closing(Rows(store)) as rows, pytest.raises(UserError, match=table.name):
        Meaning(store, rows, tower).near_text("video")


def test_the_page_has_the_box_and_what_it_finds(run: tuple[Store, Path], rows: Rows, tmp_path: Path) -> None:
    with serving(run[0], rows, Marks(tmp_path / "marks.jsonl"), tower=run[1]) as client:
        assert 'action="/near"' in client.get("/clips").text
        found = client.get("/near", text='video000002 "<b>')
        assert found.status == 200 and "cosine 0." in found.text and "<b>" not in found.text.partition("<h1")[2][:200]
        assert "video000001.1" in client.get("/near", id="video000001.1").text
        assert client.get("/near", id="nothing").status == 404
    with serving(run[0], rows, Marks(tmp_path / "marks.jsonl")) as client:
        assert "hdvila-train export" in client.get("/clips").text
        assert "hdvila-train export" in client.get("/near", text="video").text
