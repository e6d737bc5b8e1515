"""An in-memory Great Expectations context, and Data Docs that cannot run what a data file says."""

from __future__ import annotations

import html
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig

from ftcore.store import storage_errors

_SITE = "docs"


def make_context(docs: Path) -> Any:
    """An in-memory GX context with one Data Docs site; nothing is written outside `docs`."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The default site lives in a temporary folder that nobody would find and nobody would delete.
    for name, site in dict(context.list_data_docs_sites()).items():
        context.delete_data_docs_site(name)
        shutil.rmtree(site["store_backend"]["base_directory"], ignore_errors=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site_config = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": store,
        "site_index_builder": index,
    }
    context.add_data_docs_site(_SITE, site_config)
    return context


def build_docs(context: Any, docs: Path) -> None:
    """Write the site for all that `context` has validated."""
    _escape_results(context)
    with storage_errors(docs):
        context.build_data_docs(site_names=[_SITE])


def _escape_results(context: Any) -> None:
    """Escape what GX observed before Data Docs show it: GX 1.24 writes observed values into its pages as they are, so that a
    label `<script>` would run in the reader's browser."""
    store = context.validation_results_store
    for key in store.list_keys():
        validation = store.get(key)
        for result in validation.results:
            result.result = _escaped(result.result)
            result.exception_info = _escaped(result.exception_info)
        store.update(key, validation)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_escaped(item) for item in value]
    return value
