"""What all records share: canonical JSON, digests, and the way from and to plain JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_type_hints

from ftcore.errors import IntegrityError

SCHEMA_VERSION = 1


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no white space and no NaN: equal values give equal bytes.

    Raises:
        ValueError: The value holds NaN or infinity, which JSON cannot carry.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(text: str) -> Any:
    """Inverse of `canonical_json`.

    Raises:
        ValueError: No JSON, or it holds NaN or infinity, which Python's own reader lets pass.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"saw {constant}, wanted a number")

    return json.loads(text, parse_constant=refuse)


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all records. `refused` holds the reasons why nothing downstream may happen; empty: all is well."""

    kind: ClassVar[str] = ""

    refused: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with `kind` and `schema`."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return {"kind": self.kind, "schema": SCHEMA_VERSION, **plain}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            IntegrityError: Another kind or schema version, or fields that do not fit.
        """
        if data.get("kind") != cls.kind or data.get("schema") != SCHEMA_VERSION:
            seen = f"kind={data.get('kind')!r} schema={data.get('schema')!r}"
            raise IntegrityError(f"Cannot read a record: saw {seen}, wanted kind={cls.kind!r} schema={SCHEMA_VERSION}.")
        fields = {key: value for key, value in data.items() if key not in ("kind", "schema")}
        try:
            record: Self = _build(cls, fields)
        except (TypeError, KeyError) as error:
            raise IntegrityError(f"Cannot read a {cls.kind} record: {error}.") from None
        return record

    @property
    def digest(self) -> str:
        """Identity of the content; subclasses narrow it to what later stages depend on."""
        return digest_of(self.to_dict())


def _build(cls: type[Any], fields: Mapping[str, Any]) -> Any:
    """Lists to tuples, nested mappings to nested dataclasses, as the annotations say."""
    hints = get_type_hints(cls)
    return cls(**{name: _convert(hints[name], value) for name, value in fields.items()})


def _convert(hint: Any, value: Any) -> Any:
    args = getattr(hint, "__args__", ())
    if isinstance(value, list):
        inner = args[0] if args else None
        return tuple(_convert(inner, item) for item in value)
    if isinstance(value, dict):
        for option in (hint, *args):
            if dataclasses.is_dataclass(option) and isinstance(option, type):
                return _build(option, value)
    return value
