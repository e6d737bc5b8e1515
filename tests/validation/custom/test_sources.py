from __future__ import annotations

from typing import Any

from ftcore.validation.custom import sources
from ftcore.validation.expectations import to_frame
from ftcore.validation.profiles import profile_splits
from ftcore.validation.surroundings import Surroundings


def rows(*names: str | None) -> list[dict[str, Any]]:
    return [{"id": f"r{n}", "text": "x", "label": "a", "source": name} for n, name in enumerate(names)]


def test_no_source_is_above_its_quota() -> None:
    expectation = sources.ExpectColumnSourceToStayUnderQuota(column="source", max_share=0.5)
    assert expectation.look(to_frame(rows("a", "a", "b", "c")), Surroundings()).success
    assert not expectation.look(to_frame(rows("a", "a", "a", "c")), Surroundings()).success
    assert not expectation.look(to_frame(rows(None, None)), Surroundings()).success


def test_rows_of_a_new_source_are_told_from_known_ones() -> None:
    frame = to_frame(rows("chat", "mail", "feed", None))
    accepted = profile_splits({"train": rows("chat"), "test": rows("mail")})
    expectation = sources.ExpectColumnSourceToBeKnown(column="source")
    assert list(expectation.look(frame, Surroundings(accepted=accepted)).rows) == [2]
    assert expectation.look(frame, Surroundings()).success  # the first version
    let_in = sources.ExpectColumnSourceToBeKnown(column="source", known=["feed"])
    assert let_in.look(frame, Surroundings(accepted=accepted)).success
