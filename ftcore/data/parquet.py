"""Parquet files read in small batches under limits on what they unpack to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftcore.data.faults import Faults, Limits

_MIB = 1 << 20
_FOOTER_STRINGS = 16 * _MIB
_FOOTER_ITEMS = 1_000_000


def read_parquet(
    path: Path, wanted: frozenset[str], faults: Faults, limits: Limits
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their numbers; columns that are not wanted are None, so that a missing column can be told from an unread one.

    Pages with checksums are checked. Text is read as codes into a dictionary, which a bomb of one repeated value cannot swell.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    budget = max(64 * _MIB, path.stat().st_size * limits.parquet_ratio)
    over = f"saw over {budget:,} bytes unpacked, wanted at most {limits.parquet_ratio} per byte of file"
    settings = {
        "page_checksum_verification": True,
        "thrift_string_size_limit": _FOOTER_STRINGS,
        "thrift_container_size_limit": _FOOTER_ITEMS,
        "pre_buffer": False,
    }
    number = num_bytes = 0
    try:
        with pq.ParquetFile(path, **settings) as file:
            names = [str(name) for name in file.schema_arrow.names]
            if file.metadata.num_rows > limits.rows or len(names) > limits.columns:
                seen = f"{file.metadata.num_rows:,} rows and {len(names)} columns"
                faults.add(f"saw {seen}, wanted at most {limits.rows:,} and {limits.columns}")
                return
            if twice := sorted({name for name in names if names.count(name) > 1}):
                faults.add(f"saw {len(twice)} column names twice, wanted each once")
                return
            read = [name for name in names if name in wanted]
            if _declared_bytes(file, frozenset(read)) > budget:
                faults.add(over)
                return
            texts = _text_leaves(file)
        with pq.ParquetFile(path, read_dictionary=texts, **settings) as file:
            absent = dict.fromkeys(names)
            for batch in file.iter_batches(batch_size=256, columns=read, use_threads=False):
                sizes = [_text_size(column) for column in batch.columns]
                longest = max((longest for longest, _ in sizes), default=0)
                num_bytes += batch.nbytes + sum(total for _, total in sizes)
                if num_bytes > budget:
                    faults.add(over)
                    return
                if longest > limits.line_bytes:
                    faults.add(f"saw a value of {longest:,} bytes, wanted at most {limits.line_bytes:,}", number + 1)
                    return
                for row in batch.to_pylist():
                    number += 1
                    yield number, absent | row
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
        faults.add(f"cannot be read as Parquet ({type(error).__name__}); wanted a whole Parquet file", number or None)


def _declared_bytes(file: Any, columns: frozenset[str]) -> int:
    """Bytes that the footer says the wanted columns unpack to, dictionaries kept."""
    total = 0
    for group in range(file.metadata.num_row_groups):
        chunks = file.metadata.row_group(group)
        for index in range(chunks.num_columns):
            chunk = chunks.column(index)
            if chunk.path_in_schema.split(".")[0] in columns:
                total += chunk.total_uncompressed_size
    return total


def _text_leaves(file: Any) -> list[str]:
    """Paths of the text columns, those inside lists and structs too."""
    if not file.metadata.num_row_groups:
        return []
    group = file.metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    return [column.path_in_schema for column in columns if column.physical_type == "BYTE_ARRAY"]


def _text_size(values: Any) -> tuple[int, int]:
    """Bytes of the longest text in an array and of all texts written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_dictionary(kind):
        if not (pa.types.is_string(kind.value_type) or pa.types.is_binary(kind.value_type)):
            return 0, 0
        lengths = pc.binary_length(values.dictionary)
        return pc.max(lengths).as_py() or 0, pc.sum(pc.take(lengths, values.indices)).as_py() or 0
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _text_size(values.flatten())
    if pa.types.is_struct(kind):
        sizes = [_text_size(child) for child in values.flatten()]
        return max((longest for longest, _ in sizes), default=0), sum(total for _, total in sizes)
    return 0, 0
