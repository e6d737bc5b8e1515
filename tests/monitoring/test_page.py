from __future__ import annotations

import re

import numpy as np
from hypothesis import given

from ftcore.monitoring.page import render_page
from ftcore.monitoring.tests import Sample
from ftcore.records import DriftReport, DriftTest
from tests.html.reading import UNSHOWN, read
from tests.html.test_elements import ANY


def drift_test(name: str, p_adjusted: float, effect: float) -> DriftTest:
    return DriftTest(name=name, statistic=1.0, p_value=p_adjusted / 2, p_adjusted=p_adjusted, effect=effect, floor=0.1)


def drawn(text: str, verdict: str = "drift") -> str:
    report = DriftReport(
        uri="u", spec=text, model_digest=text, verdict=verdict, reasons=(text,), p_value=0.001,  # type: ignore[arg-type]
        tests=(drift_test(text, 0.002, 0.4), drift_test("labels", 0.5, 0.01)),
        num_reference=4, num_current=4, window_start="2026-01-01T10:00:00Z", window_end="2026-01-02T10:00:00Z",
    )  # fmt: skip
    numbers = np.array([0.1, 0.5, 0.9, 0.9])
    sample = Sample(labels=[text, "b", "b", "b"], confidence=numbers, length=numbers * 100, embeddings=None)
    other = Sample(labels=[text, text, text, "b"], confidence=numbers / 2, length=numbers * 50, embeddings=None)
    row = {"text": text, "prediction": text, "confidence": 0.4}
    return render_page(
        report, sample, other, alpha=0.01, examples=[row], links=[("Evidently", "evidently.html")], notes=[text]
    )


@given(ANY.filter(lambda text: text != "b"))
def test_whatever_messages_say_the_page_has_the_elements_of_the_template(text: str) -> None:
    page = drawn(text)
    assert read(page).outline == read(drawn("x")).outline
    assert not UNSHOWN.search(page)


def test_the_decision_comes_first_and_every_verdict_has_its_colour() -> None:
    text = "".join(read(drawn("x")).text)
    assert text.index("Production has changed") < text.index("What was tested") < text.index("least like the reference")
    for verdict, tone in (("drift", "bad"), ("watch", "mild"), ("ok", "good"), ("insufficient", "plain")):
        assert re.search(rf'class="head {tone}"', drawn("x", verdict))


def test_classes_with_the_largest_change_come_first() -> None:
    assert "+50.0 pts" in drawn("x")
    assert "-50.0 pts" in drawn("x")


def test_a_test_is_called_drift_only_above_its_floor() -> None:
    page = drawn("x")
    assert '<span class="flag">drift</span>' in page
    assert '<span class="calm">no change seen</span>' in page
