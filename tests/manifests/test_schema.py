"""The names and types that users build on. A failing test here means a promise would be broken."""

import pyarrow as pa
import pytest

from manifests.parquet import open_parquet, parquet_bytes
from manifests.schema import MANIFEST, REJECTS, SELECTION, SHARD_ROWS, TABLES, completed, table_of

PROMISED = {
    "videos": "video_id url source query category_id title channel_id duration_s language upload_date license heights "
    "caption_tracks yt_dlp_version",
    "transcripts": "video_id kind language words",
    "clips": "clip_id video_id n start_ms end_ms text first_word n_words category_id",
    "packs": "key clip_id video_id n status reason pack pack_offset pack_bytes members",
}


@pytest.mark.parametrize("table", PROMISED)
def test_a_table_has_the_columns_that_the_documentation_names(table: str):
    assert set(PROMISED[table].split()) <= set(TABLES[table].names)


def test_rejects_have_exactly_the_promised_columns():
    assert " ".join(REJECTS.names) == "stage video_id clip_id reason class detail attempts at next_try_at node"


def test_manifest_rows_name_shard_checksums_and_counts():
    assert " ".join(MANIFEST.names) == "url split generation sha256 md5 bytes nsamples hours categories"


def test_shard_rows_are_a_superset_of_what_video2dataset_writes():
    assert " ".join(SHARD_ROWS.names[:6]) == "key url caption clips status error_message"
    assert {"reason", "members", "clip_id", "video_id"} <= set(SHARD_ROWS.names)


def test_words_are_lists_of_text_with_times():
    words = TABLES["transcripts"].field("words").type
    assert pa.types.is_list(words)
    assert [(f.name, str(f.type)) for f in words.value_type][:3] == [
        ("text", "string"),
        ("start_ms", "int64"),
        ("end_ms", "int64"),
    ]


def test_times_are_whole_milliseconds_in_every_table():
    for table in [*TABLES.values(), SHARD_ROWS, SELECTION]:
        assert all(field.type == pa.int64() for field in table if field.name.endswith("_ms"))


def test_a_row_that_lacks_a_column_has_one_more_or_holds_a_null_is_refused_by_name():
    row = dict.fromkeys(REJECTS.names, "") | {"attempts": 1}
    assert table_of([row], REJECTS).num_rows == 1
    with pytest.raises(ValueError, match="detail"):
        table_of([{k: v for k, v in row.items() if k != "detail"}], REJECTS)
    with pytest.raises(ValueError, match="extra"):
        table_of([row | {"extra": 1}], REJECTS)
    with pytest.raises(ValueError, match="reason"):
        table_of([row | {"reason": None}], REJECTS)


def test_no_rows_still_make_a_table_with_all_columns():
    assert table_of([], MANIFEST).schema.equals(MANIFEST)


@pytest.mark.parametrize("table", TABLES)
def test_rows_read_from_a_file_have_the_schema_again_down_to_the_names_inside_lists(table: str):
    schema = TABLES[table]
    read = open_parquet(parquet_bytes(schema.empty_table())).read()

    assert str(completed(read, schema).schema) == str(schema)
    assert str(completed(read.drop_columns([schema.names[-1]]), schema).schema) == str(schema)
