"""Search by meaning: the clips whose pictures are nearest to a sentence, or to a clip, as a model sees them.

Their embeddings lie in the data set (`hdvila-train embed`), and faiss finds the nearest by an index in a file beside
the rows. A sentence needs the model's text tower too (`hdvila-train export --format onnx`); whether a tower is that of
the embeddings is seen by some sentences, which it has to embed as they are embedded there.
"""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.embeddings import EMBEDDINGS, HEAD, read_head
from manifests.errors import UserError, storage_errors
from manifests.extras import why
from manifests.parquet import damage_named, open_parquet
from pipeline.browse.rows import Row, Rows
from pipeline.browse.rows_file import RowsFile
from pipeline.engine.store.store import Store
from pipeline.query.statements import run

Vectors = NDArray[np.float32]
TOWER, WORDS = "text.onnx", "text.tokenizer.json"
MOST_NEAR = 48
MOST_EXACT = 50_000
"""Clips that are all compared. Of more, those of some cells: as many cells as the root of their number."""
A_CELL, N_PROBED = 50, 32
"""Clips of each cell that it is learned from, and cells that are looked into."""
N_COMPARED, LEAST_ALIKE = 16, 0.98
"""Sentences by which a tower is known, and their least cosine: bf16 and fp32 are above .999, other models below .5."""


class Meaning:
    """See the module. `tower`: an export's folder; None: only clips are looked for."""

    def __init__(self, store: Store, rows: Rows, tower: Path | None) -> None:
        self._store, self._rows, self._folder = store, rows, tower
        self._tower: Any = None
        self._one_at_a_time = threading.Lock()
        self._index: tuple[Path, Any] | None = None

    def lacks(self) -> str:
        """The command that makes what a sentence needs and is not there, in words; "" if all is."""
        try:
            model = self._model()
        except storage_errors():
            return "whether there are embeddings is not known: the store does not answer"
        if not model:
            return f"no embeddings here; what makes them: hdvila-train embed MODEL {self._store.url}"
        if self._folder is None:
            return "for sentences: `hdvila-train export MODEL FOLDER --format onnx`, and browse with --model FOLDER"
        return ""

    def near_text(self, text: str) -> list[tuple[Row, float]]:
        """The clips nearest to a sentence, each with its cosine. UserError says what is missing."""
        if lacks := self.lacks():
            raise UserError(lacks)
        return self._near(self._embedded([text]))

    def near_clip(self, row: Row) -> list[tuple[Row, float]]:
        """The clips nearest to a clip, itself first. UserError says what is missing."""
        if not self._model():
            raise UserError(self.lacks())
        table = f"{row['split']}-{PurePosixPath(row['shard']).stem}.parquet"
        for keys, vectors in self._tables("video", table if row["shard"] else "-"):
            if (at := keys.index(row["key"]).as_py()) >= 0:
                return self._near(vectors[at : at + 1])
        raise UserError(f"{row['clip_id']} has no embedding; run `hdvila-train embed` again")

    def _model(self) -> str:
        """The folder of embeddings that is used: the first with vectors."""
        for model in self._store.folders(EMBEDDINGS):
            folder = self._store / f"{EMBEDDINGS}/{model}"
            if folder.exists(HEAD) and read_head(folder).width:
                return f"{EMBEDDINGS}/{model}"
        return ""

    def _tables(self, column: str, only: str = "") -> Iterator[tuple[pa.Array, Vectors]]:
        """Yields (keys, unit vectors [n, D]) of each table of the model, or of one."""
        folder = self._store / self._model()
        width = read_head(folder).width
        for name in folder.names(""):
            if not name.endswith(".parquet") or name != (only or name):
                continue
            with damage_named(f"{folder.url}/{name}", "delete it and embed again"):
                rows = open_parquet(folder.read(name), is_foreign=True).read(["key", column]).combine_chunks()
                flat = rows.column(column).combine_chunks().flatten().to_numpy().reshape(rows.num_rows, width)
                if not np.isfinite(flat).all():
                    raise ValueError("a number is not finite")
            yield rows.column("key").combine_chunks().cast(pa.string()), unit(flat)

    # the index

    def _near(self, vectors: Vectors) -> list[tuple[Row, float]]:
        with self._rows.asking() as file:
            cosines, numbers = self._index_of(file).search(vectors, MOST_NEAR)
            found = {int(n): float(c) for n, c in zip(numbers[0], cosines[0], strict=True) if n >= 0}
            rows = self._rows.numbered(file, list(found))
        return [(rows[n], cosine) for n, cosine in found.items() if n in rows]

    def _index_of(self, file: RowsFile) -> Any:
        with _needed(), self._one_at_a_time:
            import faiss

            path = file.path.with_suffix(".faiss")
            if self._index is None or self._index[0] != path:
                if not path.exists():
                    self._make(path, file)
                self._index = path, faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
            return self._index[1]

    def _make(self, path: Path, file: RowsFile) -> None:
        """Makes the index of the pictures of all clips, by the numbers of their rows."""
        import faiss

        width = read_head(self._store / self._model()).width
        ((n,),) = run(file.cursor(), "SELECT count(*) FROM all_clips WHERE shard <> ''")
        index, share = index_for(width, n)
        dice = np.random.default_rng(0)
        drawn = [some[dice.random(len(some)) < share] for _, some in self._tables("video")]
        index.train(np.concatenate([np.zeros((0, width), np.float32), *drawn]))
        for keys, vectors in self._tables("video"):
            cursor = file.cursor()
            cursor.register("wanted", pa.table({"key": keys, "place": np.arange(len(keys))}))
            found = run(cursor, "SELECT place, a.rowid FROM wanted JOIN all_clips a USING (key)")
            places, numbers = np.array(found, np.int64).reshape(-1, 2).T
            index.add_with_ids(vectors[places], numbers)
        new = path.with_suffix(".faiss-new")
        faiss.write_index(index, str(new))
        new.replace(path)

    # sentences

    def _embedded(self, texts: list[str]) -> Vectors:
        with self._one_at_a_time:
            if self._tower is None:
                assert self._folder
                self._tower = _Tower(self._folder)
                self._refuse_other_tower()
        return np.asarray(self._tower.embed(texts))

    def _refuse_other_tower(self) -> None:
        """Raises UserError unless the tower embeds some sentences as they are embedded here."""
        keys, vectors = next(self._tables("text"))
        with self._rows.asking() as file:
            some = keys[:N_COMPARED].to_pylist()
            listed = ", ".join("?" * len(some))
            texts = dict(run(file.cursor(), f"SELECT key, text FROM all_clips WHERE key IN ({listed})", *some))
        known = [k for k, key in enumerate(some) if key in texts]
        made = self._tower.embed([texts[some[k]] for k in known])
        alike = (made * vectors[known]).sum(1).mean() if made.shape[1:] == vectors.shape[1:] and known else 0.0
        if alike < LEAST_ALIKE:
            self._tower = None
            where = f"{self._store.url}/{self._model()}"
            raise UserError(
                f"{self._folder}: embeds sentences otherwise than {where}; export the model that made these"
            )


def index_for(width: int, n: int) -> tuple[Any, float]:
    """An empty index for n vectors by their cosine, and the share of these that it is to be trained on."""
    import faiss

    if n <= MOST_EXACT:
        return faiss.index_factory(width, "IDMap,SQfp16", faiss.METRIC_INNER_PRODUCT), 1.0
    n_cells = round(math.sqrt(n))
    index = faiss.index_factory(width, f"IVF{n_cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    faiss.extract_index_ivf(index).nprobe = N_PROBED
    return index, A_CELL * n_cells / n


class _Tower:
    """A text tower with its tokenizer."""

    def __init__(self, folder: Path) -> None:
        if lacking := [name for name in (TOWER, WORDS) if not (folder / name).is_file()]:
            raise UserError(f"{folder}: no {' and no '.join(lacking)}; run `hdvila-train export RUN OUT --format onnx`")
        with _needed():
            from onnxruntime import InferenceSession
            from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf
            from tokenizers import Tokenizer
        try:
            self._words = Tokenizer.from_str(json.dumps(json.loads((folder / WORDS).read_bytes())))
            self._session = InferenceSession(str(folder / TOWER), providers=["CPUExecutionProvider"])
        except (OSError, ValueError, RuntimeError, Fail, InvalidGraph, InvalidProtobuf) as error:
            raise UserError(f"{folder}: cannot be read as a text tower ({str(error)[:200]})") from None

    def embed(self, texts: list[str]) -> Vectors:
        """[n, D] of unit length."""
        encoded = self._words.encode_batch(texts)
        inputs = {
            "input_ids": np.array([one.ids for one in encoded], np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
        }
        return unit(self._session.run(["text_embeds"], inputs)[0])


@contextmanager
def _needed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError(f"a search by meaning {why(error)}") from None


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """[n, D] with length 1."""
    values = vectors.astype(np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), np.float32)
