from __future__ import annotations

import pytest

from benchmarks.documents import put_between
from ftcore.errors import UsageError


def test_text_goes_between_the_marks_in_place_of_the_old() -> None:
    document = "a\n<b>\nold\n</b>\nc <b>"
    assert put_between(document, "<b>", "new", "</b>") == "a\n<b>\n\nnew\n\n</b>\nc <b>"
    for broken in ("a\n<b>\nold", "old\n</b>", "</b> <b>"):
        with pytest.raises(UsageError, match="lacks"):
            put_between(broken, "<b>", "new", "</b>")
