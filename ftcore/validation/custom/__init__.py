"""ftcore's own expectations for text and fine-tuning sets; importing this package registers them with Great Expectations.

A suite names them by type like any built-in one. docs/expectations.md lists them with their arguments and defaults.
"""

from __future__ import annotations

from ftcore.validation.custom import content, conversations, labels, ngrams, sources, texts, versions

__all__ = ["content", "conversations", "labels", "ngrams", "sources", "texts", "versions"]
