"""Presidio beside the built-in detectors. An entity ruler stands in for a trained model: it knows its names by heart."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import pytest

from ftcore.data.personal import count_personal, find_personal, redact
from ftcore.data.personal.presidio import engine_identity, presidio_finder
from ftcore.errors import UsageError
from ftcore.spec import PresidioSpec

TEXT = "Anna Smith of ACME in Berlin, anna@example.org, since 2024-03-07; device 00:1B:44:11:3A:B7"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("presidio_analyzer", reason="wants the extra: pip install 'ftcore[presidio]'")
    import spacy

    folder = tmp_path_factory.mktemp("project")
    model = spacy.blank("en")
    names = {"PERSON": "Anna Smith", "GPE": "Berlin", "ORG": "ACME", "DATE": "2024-03-07"}
    model.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": name} for label, name in names.items()])
    model.to_disk(folder / "ruler")
    (folder / "broken").mkdir()
    return folder


def test_names_and_places_of_the_model_are_added(project: Path) -> None:
    find = presidio_finder(PresidioSpec(model="ruler"), project)
    assert redact(TEXT, more=find) == "[PERSON] of ACME in [LOCATION], [EMAIL], since 2024-03-07; device [MAC_ADDRESS]"
    assert count_personal([TEXT], more=find) == {"email": 1, "location": 1, "mac_address": 1, "person": 1}
    named = presidio_finder(PresidioSpec(model="ruler", entities=["DATE_TIME", "ORGANIZATION"]), project)
    assert count_personal([TEXT], more=named) == {"date_time": 1, "email": 1, "organization": 1}


def test_without_a_model_patterns_are_what_there_is(project: Path) -> None:
    find = presidio_finder(PresidioSpec(model=None), project)
    assert count_personal([TEXT], more=find) == {"email": 1, "mac_address": 1}
    assert [(span.kind, TEXT[span.start : span.end]) for span in find(TEXT)] == [("mac_address", "00:1B:44:11:3A:B7")]
    sure = presidio_finder(PresidioSpec(model=None, entities=["EMAIL_ADDRESS", "IP_ADDRESS"], min_score=0.9), project)
    assert [span.kind for span in sure("10.0.0.7 or a@b.de")] == ["email"]


def test_the_patterns_of_a_language(project: Path) -> None:
    text = "mój numer to 44051401359"
    (span,) = presidio_finder(PresidioSpec(model=None, language="pl", entities=["PL_PESEL"]), project)(text)
    assert (span.kind, text[span.start : span.end]) == ("national_id", "44051401359")


def test_mistakes_are_told_with_what_to_do(project: Path) -> None:
    def fault(**settings: object) -> str:
        with pytest.raises(UsageError) as error:
            presidio_finder(PresidioSpec.model_validate(settings), project)
        return str(error.value)

    missing = fault(model="xx_no_such_model")
    assert "'xx_no_such_model' (prepare.presidio.model)" in missing
    assert "python -m spacy download xx_no_such_model" in missing
    unknown = fault(model=None, entities=["PERSON", "IP_ADDRESS"])
    assert "saw PERSON, which Presidio does not find in 'en' with the model None; wanted some of" in unknown
    assert "Try: names and places need a spaCy model" in unknown
    assert "made for 'en'; wanted 'de'" in fault(model="ruler", language="de")
    assert "Cannot load the spaCy model 'broken' (prepare.presidio.model): saw OSError" in fault(model="broken")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(UsageError, match=r"Presidio is not installed(.|\n)*pip install 'ftcore\[presidio\]'"):
        presidio_finder(PresidioSpec(), tmp_path)


def test_no_value_reaches_a_log_and_nothing_the_network(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tldextract import tldextract

    monkeypatch.setattr(tldextract, "TLD_EXTRACTOR", tldextract.TLDExtract(cache_dir=None))  # as it is in a new process

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    caplog.set_level(logging.DEBUG)
    find = presidio_finder(PresidioSpec(model="ruler", entities=["IBAN_CODE", "EMAIL_ADDRESS", "PERSON"]), project)
    list(find(f"XX89370400440532013000 {TEXT}"))
    # What Presidio says at level ERROR where checking an account number fails:
    logging.getLogger("presidio-analyzer").error("Failed to validate text %s", "secret-value")
    assert caplog.text == ""


def test_what_the_hits_depend_on(project: Path) -> None:
    first = engine_identity(PresidioSpec(model="ruler"), project)
    assert first == engine_identity(PresidioSpec(model="ruler"), project)
    assert {"presidio-analyzer", "spacy", "tldextract", "model"} == first.keys()
    (project / "ruler" / "note.txt").write_text("changed")
    assert engine_identity(PresidioSpec(model="ruler"), project)["model"] != first["model"]
    assert "model" not in engine_identity(PresidioSpec(model=None), project)


def test_a_model_that_is_not_there_is_part_of_the_identity(tmp_path: Path) -> None:
    assert engine_identity(PresidioSpec(model="no_such_model"), tmp_path)["no_such_model"] == "absent"


def test_built_in_hits_stay_what_they_are(project: Path) -> None:
    text = "card 4111111111111111, call 212-555-5555, mail a@b.de"
    every = ["CREDIT_CARD", "PHONE_NUMBER", "EMAIL_ADDRESS", "URL", "US_BANK_NUMBER", "US_DRIVER_LICENSE"]
    find = presidio_finder(PresidioSpec(model=None, entities=every, min_score=0.01), project)
    assert len(list(find(text))) > 3
    assert set(find_personal(text)) <= set(find_personal(text, more=find))
