from __future__ import annotations

import math
from pathlib import Path

import pytest

from ftcore.errors import UsageError
from ftcore.evaluation.probes.forgetting import bits_per_byte, forgetting, read_paragraphs


def test_the_shipped_text_has_paragraphs_enough() -> None:
    found = read_paragraphs(None)
    assert len(found) == len(set(found)) >= 30 and all(100 < len(text) < 600 for text in found)


def test_a_users_file_is_cut_at_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(
        b"\r\n\r\n".join(b"a line of text,\r\nand another one, number %d" % number for number in range(12))
    )
    assert len(read_paragraphs(path)) == 12 and read_paragraphs(path)[0].count("\n") == 1
    path.write_text("Title\n\n" + "too few paragraphs of any length at all\n\n" * 9)
    with pytest.raises(UsageError, match="wanted 10 or more"):
        read_paragraphs(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_paragraphs(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_paragraphs(tmp_path / "none.txt")


def test_loss_is_in_bits_per_byte_of_all_text() -> None:
    losses = {"candidate": bits_per_byte([8 * math.log(2)] * 3, [4, 4, 8])}
    (measure,) = forgetting(losses | {"base": bits_per_byte([4 * math.log(2)] * 3, [4, 4, 8])})
    found = measure.to_dict((("candidate", "base"),))
    assert found is not None and found["models"]["candidate"]["value"] == pytest.approx(24 / 16)
    assert found["differences"][0]["difference"] == pytest.approx(12 / 16)
