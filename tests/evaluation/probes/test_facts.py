from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.probes.facts import facts_of, ngrams, number_readings, source_of, unsupported


def missing(answer: str, source: str) -> dict[str, int]:
    return {kind: lacks for kind, (lacks, _) in unsupported(facts_of(answer), source_of(source)).items() if lacks}


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("That is 1000 euros.", "I paid 1,000 euros"),
        ("That is 1.000,50.", "it was 1000.5"),
        ("Within 14 days.", "is it fourteen days?"),
        ("It took 3.50", "3.5 hours"),
        ("It came on 3 May.", "on the 3rd of May 2026"),
        ("It came on May 3rd, 2026.", "since 2026-05-03"),
        ("It came on 03/05/2026.", "since 3 May 2026"),
        ("On 05/03/2026 it came.", "since 3 May 2026"),
        ("You wrote to Ada Lovelace.", "my name is LOVELACE, ada"),
        ("Write to help@shop.example.", "is it help@shop.example?"),
        ("Your order AB-1234 is late.", "where is ab-1234"),
        ("1. Open it.\n2. Close it.", "how"),
        ("Hello. Thanks for that.", "hi"),
        ("Dear ada, Your card is here.", "hi ada"),
    ],
)
def test_what_the_source_has_in_another_form_is_supported(answer: str, source: str) -> None:
    assert not missing(answer, source).keys() - {"ngrams"}


@pytest.mark.parametrize(
    ("answer", "source", "kind"),
    [
        ("Within 14 days.", "when? 140 or 1.4 days", "numbers"),
        ("On 4 May.", "on 3 May", "dates"),
        ("On 3 May 2025.", "on 3 May 2026", "dates"),
        ("You wrote to Ada Lovelace.", "my name is ada", "entities"),
        ("Mail help@shop.example.", "is there help for a shop example", "entities"),
        ("See https://shop.example/a now", "the shop", "entities"),
        ("The order AB-1234 is late.", "where is AB-1235", "entities"),
        ("the card is lost today", "the card is lost", "ngrams"),
    ],
)
def test_what_the_source_lacks_is_found(answer: str, source: str, kind: str) -> None:
    assert missing(answer, source).get(kind) == 1
    assert not missing(answer, source).keys() - {kind, "ngrams"}


def test_readings_of_numbers() -> None:
    assert number_readings("1,000") == {"1000", "1"} and number_readings("1.000,50") == {"1000.5"}
    assert number_readings("007") == {"7"} and number_readings("14:30") == {"14:30"}
    assert number_readings("1.2.3") == {"1.2.3"}


@given(st.integers(0, 10**9))
def test_separators_do_not_matter(number: int) -> None:
    assert number_readings(f"{number:,}") & number_readings(str(number))
    assert number_readings(f"{number:,}".replace(",", ".")) & number_readings(str(number))


@given(st.text(max_size=200))
def test_every_text_supports_itself(text: str) -> None:
    found = unsupported(facts_of(text), source_of(text))
    assert {kind: lacks for kind, (lacks, _) in found.items()} == dict.fromkeys(found, 0)


@given(st.text(alphabet="aB1 .-/@3May,\n", max_size=60), st.text(alphabet="aB1 .-/@3May,\n", max_size=60))
def test_counts_are_in_range_and_a_longer_source_supports_as_much(answer: str, source: str) -> None:
    facts = facts_of(answer)
    short, long = (unsupported(facts, source_of(text)) for text in (source, f"{source}\n\n{answer}"))
    assert all(0 <= lacks <= total for lacks, total in short.values())
    assert all(long[kind][0] <= short[kind][0] for kind in short)


def test_ngrams_are_runs_of_three_words() -> None:
    assert ngrams("The card, is lost") == {("the", "card", "is"), ("card", "is", "lost")} and not ngrams("two words")
