"""Presidio as a second engine for personal data: names and places by a spaCy model, numbers of more countries by pattern.

Optional: `pip install 'ftcore[presidio]'`. Nothing is downloaded: a model that is not there is an error, and of public suffixes
(which decide what is an address) the list that comes with tldextract is used.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ftcore.data.personal.spans import Finder, PersonalSpan
from ftcore.errors import UsageError
from ftcore.records import digest_of
from ftcore.spec import PresidioSpec
from ftcore.store import file_sha256

# What the built-in detectors look for more strictly. Adding Presidio's hits finds next to nothing more of these kinds and many
# things that are none: benchmarks/personal.py --presidio.
_BUILT_IN = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip",
    **dict.fromkeys(
        ["DE_TAX_ID", "ES_NIE", "ES_NIF", "FI_PERSONAL_IDENTITY_CODE", "IN_AADHAAR", "IT_FISCAL_CODE", "PL_PESEL",
         "SE_PERSONNUMMER", "UK_NHS", "US_SSN"],
        "national_id",
    ),
}  # fmt: skip
_KINDS = _BUILT_IN | dict.fromkeys(
    ["CA_SIN", "KR_RRN", "TH_TNIN", "TR_NATIONAL_ID", "UK_NINO", "US_ITIN"], "national_id"
)
# In many rows, and leading to hardly anybody.
_SELDOM_PERSONAL = {"DATE_TIME", "ORGANIZATION", "URL", "UUID"}
_LOGGERS = ("presidio-analyzer", "presidio_analyzer", "decision_process", "tldextract")


def presidio_finder(settings: PresidioSpec, root: Path) -> Finder:
    """What finds personal data with Presidio. Building it takes seconds (spaCy is imported), a text about a millisecond and more
    with a model.

    Args:
        settings: Model, language, entities, least score.
        root: Where a relative model folder starts.

    Raises:
        UsageError: Presidio or the model is missing or unfit, or an entity is not known.
    """
    _keep_quiet()
    try:
        import presidio_analyzer  # noqa: F401
        import spacy  # noqa: F401
    except ImportError as error:
        message = f"prepare.personal_engine is presidio, and Presidio is not installed ({error.name} is missing)."
        raise UsageError(message, hint="pip install 'ftcore[presidio]'") from None
    _stay_offline()
    analyzer = _analyzer(_model(settings, root), settings.language)
    entities = _entities(analyzer, settings)

    def find(text: str) -> Iterable[PersonalSpan]:
        hits = analyzer.analyze(text, settings.language, entities=entities, score_threshold=settings.min_score)
        return [PersonalSpan(hit.start, hit.end, _KINDS.get(hit.entity_type, hit.entity_type.lower())) for hit in hits]

    return find


def engine_identity(settings: PresidioSpec, root: Path) -> dict[str, Any]:
    """Versions of Presidio, spaCy and the model, or of a model folder the digest: what the hits depend on. Imports neither."""
    names = ["presidio-analyzer", "spacy", "tldextract"]
    if settings.model is not None:
        folder = root / Path(settings.model).expanduser()
        if folder.is_dir():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            digest = digest_of({path.relative_to(folder).as_posix(): file_sha256(path) for path in files})
            return _versions(names) | {"model": digest}
        names.append(settings.model)
    return _versions(names)


def _versions(names: Iterable[str]) -> dict[str, Any]:
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            versions[name] = "absent"
    return versions


def _keep_quiet() -> None:
    """Presidio logs values ("Failed to validate text ..."): nothing of it is let through, at any level."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.filters = [_nothing]
        logger.propagate = False


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _stay_offline() -> None:
    """tldextract would fetch the public suffix list at the first address that it meets."""
    from tldextract import tldextract

    tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def _model(settings: PresidioSpec, root: Path) -> Any:
    """A spaCy pipeline; without a model one that only splits words, which Presidio cannot do without."""
    import spacy

    if settings.model is None:
        return spacy.blank("xx")
    folder = root / Path(settings.model).expanduser()
    if not folder.is_dir() and not spacy.util.is_package(settings.model):
        message = f"No spaCy model {settings.model!r} (prepare.presidio.model): saw neither an installed package nor a folder."
        hint = f"python -m spacy download {settings.model}; or `model: null`, which finds no names and places"
        raise UsageError(message, hint=hint)
    try:
        model = spacy.load(folder if folder.is_dir() else settings.model)
    except (OSError, ValueError, ImportError, KeyError) as error:
        message = (
            f"Cannot load the spaCy model {settings.model!r} (prepare.presidio.model): saw {type(error).__name__}."
        )
        raise UsageError(message, hint="python -m spacy validate") from error
    if model.lang not in (settings.language, "xx"):
        message = f"prepare.presidio.model {settings.model!r} is made for {model.lang!r}; wanted {settings.language!r}."
        raise UsageError(message, hint=f"--set prepare.presidio.language={model.lang}")
    return model


def _analyzer(model: Any, language: str) -> Any:
    """Presidio's analyzer with the recognisers of one language and what the model itself can find."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    model.max_length = 1 << 21  # no line is longer
    engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model.meta.get("name") or "blank"}])
    engine.nlp = {language: model}  # loaded: otherwise Presidio would download it
    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
    # Presidio lists names as known whether or not the model finds any.
    registry.remove_recognizer("SpacyRecognizer")
    if named := _named_by(model, engine.ner_model_configuration.model_to_presidio_entity_mapping):
        registry.add_recognizer(SpacyRecognizer(supported_language=language, supported_entities=named))
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])


def _named_by(model: Any, names: dict[str, str]) -> list[str]:
    pipes = [pipe for pipe in model.pipe_names if "doc.ents" in model.get_pipe_meta(pipe).assigns]
    return sorted({names.get(label, label) for pipe in pipes for label in model.pipe_labels.get(pipe, ())})


def _entities(analyzer: Any, settings: PresidioSpec) -> list[str]:
    known = set(analyzer.get_supported_entities(settings.language))
    unknown = sorted(set(settings.entities) - known)
    if unknown:
        message = (
            f"prepare.presidio.entities: saw {', '.join(unknown)}, which Presidio does not find in {settings.language!r} with "
            f"the model {settings.model!r}; wanted some of {', '.join(sorted(known))}."
        )
        raise UsageError(message, hint="names and places need a spaCy model: prepare.presidio.model")
    return sorted(settings.entities or known - _SELDOM_PERSONAL - set(_BUILT_IN))
