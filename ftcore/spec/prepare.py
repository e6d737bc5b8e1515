"""Preparation: cleaning, personal data, audits and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    StringConstraints,
    model_validator,
)

from ftcore.spec.base import Fraction, Probability, Section, Split

PersonalKind = Literal["secret", "email", "iban", "card", "national_id", "ip", "phone"]
AugmentMethod = Literal["typo", "dropout", "swap", "synonym", "paraphrase"]


class LabelAuditSpec(Section):
    """Which labels look wrong: a cheap probe model judges rows it was not trained on. Nothing is ever changed or removed."""

    splits: list[Split] = Field(default_factory=list)
    """Splits to audit; empty: none. The holdout matters most: wrong labels there blur every verdict."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds of the cross-validation that judges train; validation and test rows are judged by a probe trained on train."""
    max_rows: Annotated[int, Field(ge=1)] = 200_000
    """Larger splits are not audited."""


class BiasSpec(Section):
    """Who is in the data and how they are labelled: a report, never a refusal."""

    columns: list[str] = ["source"]
    """Columns whose values are compared, each with all other rows."""
    terms: dict[str, list[str]] | Literal["default", "none"] = "default"
    """Identity terms: name -> words or phrases (whole words, case ignored); default: the short list in ftcore/data/bias.py."""
    min_rows: Annotated[int, Field(ge=1)] = 20
    """Smaller groups are counted, not compared."""
    confidence: Probability = 0.95
    """Of the intervals."""


class AugmentSpec(Section):
    """More training rows made from those there are; never validation or test rows. Off while `methods` is empty."""

    methods: list[AugmentMethod] = Field(default_factory=list)
    """typo: keyboard slips; dropout: words left out; swap: neighbouring words change places; synonym: words from `synonyms`;
    paraphrase: the row in one of `templates`."""
    fraction: Fraction = 0.5
    """Share of training rows that each method is applied to."""
    strength: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Share of words changed (typo, dropout, swap, synonym), at least one."""
    synonyms: str | None = None
    """CSV file with the columns `word` and `synonym`, relative to the project folder."""
    templates: list[str] = ["Hello, {text}", "{text} Thanks.", "I have a question: {text}"]
    """What paraphrase puts around a row; each holds `{text}` once."""
    seed: Annotated[int, Field(ge=0)] = 17
    """Another seed, other rows; rows added or reordered change nothing for the rest."""

    @model_validator(mode="after")
    def _has_what_methods_need(self) -> AugmentSpec:
        if "synonym" in self.methods and not self.synonyms:
            raise ValueError("method synonym needs `synonyms`, a CSV file with the columns word and synonym")
        if faulty := [template for template in self.templates if template.count("{text}") != 1]:
            raise ValueError(f"{len(faulty)} of templates do not hold {{text}} exactly once")
        if "paraphrase" in self.methods and not self.templates:
            raise ValueError("method paraphrase needs at least one of templates")
        return self


class PresidioSpec(Section):
    """Presidio beside the built-in detectors: names, places and what else has no check digits. Needs the extra `presidio`."""

    model: str | None = "en_core_web_sm"
    """spaCy model that finds names and places: an installed package, or a folder relative to the project folder. Null: patterns
    alone, so no names and no places."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"
    """Whose patterns are used (ISO 639), and what the model must have been made for."""
    entities: list[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]] = Field(default_factory=list)
    """What to look for, in Presidio's words (`PERSON`, `LOCATION`, `US_PASSPORT`); empty: all that it knows in this language but
    what the built-in detectors look for themselves, and `DATE_TIME`, `ORGANIZATION`, `URL` and `UUID`."""
    min_score: Fraction = 0.5
    """Hits that Presidio is less sure of do not count."""


class PrepareSpec(Section):
    """Cleaning before training."""

    fix_encoding: bool = True
    """Repair mojibake and drop control and zero-width characters (ftfy, NFC)."""
    strip_html: bool = False
    """Tags away, entities as characters, `<script>` and `<style>` dropped."""
    deduplicate: bool = True
    """Keep the first of rows of one split with the same normalised text and label; quarantine same text, different labels."""
    max_chars: Annotated[int, Field(ge=1)] = 20_000
    """Longer rows are quarantined."""
    personal_data: Literal["keep", "redact", "quarantine"] = "keep"
    """What becomes of rows with personal data or secrets: redact writes `[EMAIL]` and the like in their place."""
    personal_kinds: list[PersonalKind] = ["secret", "email", "iban", "card", "national_id", "ip", "phone"]
    """What to look for (also counted while `personal_data` is keep)."""
    personal_engine: Literal["builtin", "presidio"] = "builtin"
    """builtin: what has check digits or a shape of its own. presidio: Presidio's hits too, wherever the former find nothing."""
    presidio: PresidioSpec = PresidioSpec()
    """Settings of that engine."""
    phone_regions: list[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = [
        "US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR",
    ]  # fmt: skip
    """Countries (ISO 3166) whose phone numbers are known without a leading +."""
    label_audit: LabelAuditSpec = LabelAuditSpec()
    """Which labels look wrong; off while `splits` is empty."""
    bias: BiasSpec = BiasSpec()
    """Groups and identity terms to count and compare."""
    augment: AugmentSpec = AugmentSpec()
    """Rows to make out of others; off while `methods` is empty."""
