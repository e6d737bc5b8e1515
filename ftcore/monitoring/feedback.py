"""Feedback that came back from production becomes a new data version that retraining can learn from.

The feedback log is joined with the prediction log by the id that each answer carried. What is new since the last version is
written as one more file, `feedback-<n>.jsonl`, in the user's own column names, to the data repository under FTCORE_HOME; a
label that was corrected since replaces the old one in its place. For models that write replies the same holds for corrected
replies. What people preferred goes along, where no pattern for training rows reads it: ratings as `ratings/feedback-<n>.jsonl`,
which make a version on their own where `method.prefer` learns from them, and each corrected reply beside what the model wrote as
`pairs/feedback-<n>.jsonl`.
Rows with which the data set would be refused are left out and named in the answer; the next call looks at them again.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ftcore.data.reading import read_jsonl, read_splits
from ftcore.data.versions import DataRepository, pull
from ftcore.errors import UsageError
from ftcore.ledger import Ledger
from ftcore.monitoring.corrections import PAIRS, RATINGS, join_replies, prefers, writable, writer_of
from ftcore.monitoring.labels import in_user_columns, join
from ftcore.monitoring.upstream import FEEDBACK_FILES, follow_own_data
from ftcore.records import DataRef, DatasetVersion, canonical_json
from ftcore.registry.package import read_lineage
from ftcore.serving.log import Row, feedback_folder, predictions_folder, read_log
from ftcore.spec import DataSpec, FineTuneSpec
from ftcore.store import Manifest, Store


@dataclass(frozen=True)
class Collected:
    """What one call made of the labels."""

    data: DataRef | None
    """The new version; None if fewer than `monitoring.min_feedback_rows` new rows (or ratings) can join the data set."""
    held_back: Mapping[str, int] = field(default_factory=dict)
    """New labels with too few rows so far."""
    num_left_out: int = 0
    """Rows with which the data set would be refused; the next call looks at them again."""
    reasons: tuple[str, ...] = ()
    """Why they were left out: what validation or preparation would have said."""
    followed: str | None = None
    """Revision of the spec's own data that was taken over, if that has moved on."""


def collect_feedback(spec: FineTuneSpec, store: Store, ledger: Ledger, actor: str) -> Collected:
    """Make a new data version from labelled production rows (or corrected replies), if there are enough new ones.

    The spec's own data may have moved on since the last version: then the feedback joins its newest state. Rows with which the
    pipeline would refuse the data set are left out. The version is recorded in the ledger and attached to
    the spec's open retrain request. Safe to repeat and to run twice at once: rows already in a version are taken again
    only to correct their label, and what a crash left unrecorded is recorded by the next call.

    Raises:
        UsageError: No pattern of `data.files` would read the new file, or the suite is missing or faulty.
    """
    head = ledger.head(spec.name)
    if head is None:
        return Collected(None)
    lineage = read_lineage(store.resolve(head.package_uri))
    trained_on = DatasetVersion.from_dict(lineage["records"]["ingest"])
    repository = DataRepository(store.root, spec.name)
    ref = _newest_or_seed(repository, trained_on, spec, store)
    with tempfile.TemporaryDirectory(prefix="ftcore-feedback-") as temporary:
        current = Path(temporary) / "data"
        pull(ref, current)
        if _has_feedback(current) and _current_rev(ledger, spec.name) != ref.rev:
            _record(spec, ledger, ref, current, actor)  # a crash came between publishing and recording
        followed = follow_own_data(spec, repository, trained_on, current)
        collect = _collect if spec.task == "classification" else _collect_replies
        collected = dataclasses.replace(collect(spec, store, ledger, repository, current), followed=followed)
        if followed and collected.data is None and _has_feedback(current):
            collected = dataclasses.replace(collected, data=repository.newest())
    if collected.data is not None:
        with tempfile.TemporaryDirectory(prefix="ftcore-feedback-") as temporary:
            pull(collected.data, Path(temporary) / "data")
            _record(spec, ledger, collected.data, Path(temporary) / "data", actor)
    _attach(ledger, spec.name, trained_on.rev, actor)
    return collected


def _collect(spec: FineTuneSpec, store: Store, ledger: Ledger, repository: DataRepository, current: Path) -> Collected:
    """Publish what is new and fit; `current` holds the repository's newest version."""
    columns = spec.data.columns
    held = _held(current)
    taken = {str(row[columns.id]): str(row[columns.label]) for rows in held.values() for row in rows}
    known = {str(row["label"]) for row in _rows(spec, current) if row["label"]}
    joined = join(_logged(store, spec.name, "feedback"), _logged(store, spec.name, "predictions"), known, taken)

    def write(row: Row) -> Row:
        return in_user_columns(row, columns)

    to_files = _Files("", held, columns.id, write)
    collected, rows = _accept(spec, ledger, current, joined.rows, to_files, known)
    collected = dataclasses.replace(collected, held_back=joined.held_back)
    if not rows:
        return collected
    return dataclasses.replace(collected, data=repository.add(to_files(rows), "Labelled rows from production"))


def _collect_replies(
    spec: FineTuneSpec, store: Store, ledger: Ledger, repository: DataRepository, current: Path
) -> Collected:
    """As `_collect`. Ratings go along with corrected replies; alone they make a version where `method.prefer` reads them."""
    taken = {str(row["id"]): str(row["completion"]) for row in _rows(spec, current)}
    held = {name: _held(current, name) for name in (RATINGS, PAIRS)}
    rated = {str(row["id"]): str(row["rating"]) for rows in held[RATINGS].values() for row in rows}
    joined = join_replies(_logged(store, spec.name, "feedback"), _logged(store, spec.name, "predictions"), taken, rated)
    write = writer_of(spec.data)
    writable_rows, unwritable = writable(joined.rows, write)
    to_files = _Files("", _held(current), spec.data.columns.id, write)
    collected, rows = _accept(spec, ledger, current, writable_rows, to_files, set())
    num_left_out = collected.num_left_out + len(joined.rows) - len(writable_rows)
    collected = dataclasses.replace(collected, num_left_out=num_left_out, reasons=(*unwritable, *collected.reasons))
    learned = prefers(spec)
    enough = learned == RATINGS and len(joined.ratings) >= spec.monitoring.min_feedback_rows
    if not rows and not enough:
        return collected
    ids, files = {row["id"] for row in rows}, to_files(rows) if rows else {}
    preferred = {RATINGS: joined.ratings, PAIRS: tuple(pair for pair in joined.pairs if pair["id"] in ids)}
    more = {name: _Files(f"{name}/", held[name], "id", dict)(found) for name, found in preferred.items()}
    refused = _refused_preferences(spec, current, files, more)
    num_refused = len(preferred[learned]) if learned and refused else 0
    num_left_out, reasons = collected.num_left_out + num_refused, (*collected.reasons, *refused)
    collected = dataclasses.replace(collected, num_left_out=num_left_out, reasons=reasons)
    if refused and not rows:
        return collected
    what = "Corrected replies" if rows else "Rated replies"
    return dataclasses.replace(
        collected, data=repository.add(files | more[RATINGS] | more[PAIRS], f"{what} from production")
    )


def _refused_preferences(
    spec: FineTuneSpec, current: Path, files: Mapping[str, bytes], more: dict[str, dict[str, bytes]]
) -> tuple[str, ...]:
    """Why training could not learn from the ratings or pairs in `more`, which then loses them."""
    if (learned := prefers(spec)) is None:
        return ()
    from ftcore.monitoring.acceptance import refused_ratings

    refused = refused_ratings(spec, current, {**files, **more[learned]})
    if refused:
        more[learned] = {}
    return refused


def _held(current: Path, folder: str = "") -> dict[str, list[Row]]:
    """The feedback files of a version, by their path inside it."""
    return {
        path.relative_to(current).as_posix(): read_jsonl(path)
        for path in sorted((current / folder).glob(FEEDBACK_FILES))
    }


def _has_feedback(folder: Path) -> bool:
    return any(folder.glob(FEEDBACK_FILES)) or any((folder / RATINGS).glob(FEEDBACK_FILES))


def _accept(
    spec: FineTuneSpec, ledger: Ledger, current: Path, rows: Sequence[Row], to_files: _Files, known: set[str]
) -> tuple[Collected, tuple[Row, ...]]:
    """The rows to publish; none if too few are new and fit. The outcome names the rest."""
    min_rows = spec.monitoring.min_feedback_rows
    if len(rows) < min_rows:
        return Collected(None), ()
    check_pattern(f"feedback-{len(to_files.held) + 1}.jsonl", spec.data)
    # Only now: it loads Great Expectations, which takes seconds.
    from ftcore.monitoring.acceptance import accept_rows

    released = ledger.released(spec.name)
    free = released.rows if released else ()
    accepted = accept_rows(spec, current, rows, to_files, known=known, min_rows=min_rows, released=free)
    collected = Collected(None, num_left_out=accepted.num_left_out, reasons=accepted.reasons)
    return collected, accepted.rows


@dataclass(frozen=True)
class _Files:
    """Rows -> the feedback files with them: a corrected row in the place of the old one, new ones in one more file."""

    folder: str
    held: Mapping[str, Sequence[Row]]
    """The files so far, by their path inside the data folder."""
    id_column: str
    write: Callable[[Row], Row]

    def __call__(self, rows: Sequence[Row]) -> dict[str, bytes]:
        new = {str(row["id"]): self.write(row) for row in rows}
        files = {name: [new.get(str(row[self.id_column]), row) for row in before] for name, before in self.held.items()}
        there = {str(row[self.id_column]) for before in self.held.values() for row in before}
        if more := [row for identity, row in new.items() if identity not in there]:
            files[f"{self.folder}feedback-{len(self.held) + 1}.jsonl"] = more
        return {name: "".join(canonical_json(row) + "\n" for row in rows).encode() for name, rows in files.items()}


def check_pattern(name: str, data: DataSpec) -> None:
    """A file that no pattern reads would be feedback lost without a word.

    Raises:
        UsageError: None of the patterns for `any` or `train` matches.
    """
    for part in ("any", "train"):
        patterns = data.files.get(part, [])
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if PurePosixPath(name).match(pattern):
                return
    part = "any" if "any" in data.files else "train"
    raise UsageError(
        f"No pattern under data.files.{part} matches {name}, the file that feedback writes.",
        hint=f"add feedback-*.jsonl to data.files.{part} in the spec",
    )


def _newest_or_seed(
    repository: DataRepository, trained_on: DatasetVersion, spec: FineTuneSpec, store: Store
) -> DataRef:
    """The repository's newest version; a new repository starts with the very files that the champion was trained on."""
    newest = repository.newest()
    if newest is not None:
        return newest
    files = store.resolve(trained_on.uri) / "files"
    if files.is_dir():
        return repository.ensure(files)
    with tempfile.TemporaryDirectory(prefix="ftcore-seed-") as temporary:
        ref = DataRef(repo=trained_on.repo, rev=trained_on.rev, path=trained_on.path, remote=spec.data.remote)
        pull(ref, Path(temporary) / "data")
        return repository.ensure(Path(temporary) / "data")


def _logged(store: Store, spec: str, what: str) -> list[Row]:
    folder = feedback_folder(store.root, spec) if what == "feedback" else predictions_folder(store.root, spec)
    return read_log(folder)[0]


def _record(spec: FineTuneSpec, ledger: Ledger, ref: DataRef, folder: Path, actor: str) -> None:
    ledger.record_data_version(spec.name, ref, Manifest.of(folder).digest, len(_rows(spec, folder)), actor)


def _rows(spec: FineTuneSpec, folder: Path) -> list[Row]:
    """All rows that can be read; malformed ones are validation's to count."""
    splits = read_splits(folder, spec.data, task=spec.task, set_aside=[])
    return [row for rows in splits.values() for row in rows]


def _attach(ledger: Ledger, spec: str, trained_rev: str, actor: str) -> None:
    """Tie the newest recorded version to the open request, unless the champion has learned from it already."""
    request, data = ledger.request(spec), ledger.current_data(spec)
    if request is not None and data is not None and data.rev != trained_rev:
        ledger.attach_data(request.request_id, data, actor)


def _current_rev(ledger: Ledger, spec: str) -> str | None:
    data = ledger.current_data(spec)
    return data.rev if data else None


def feedback_counts(spec: FineTuneSpec, store: Store) -> dict[str, int]:
    """For people: how much feedback lies in the logs, joined or not."""
    feedback, predictions = _logged(store, spec.name, "feedback"), _logged(store, spec.name, "predictions")
    counts = {"feedback": len(feedback), "predictions": len(predictions)}
    if spec.task != "classification":
        replies = join_replies(feedback, predictions)
        counts |= {"matched": len(replies.rows), "ratings": len(replies.ratings)}
        return {**counts, "unknown_ids": replies.unknown}
    joined = join(feedback, predictions, known={str(row["label"]) for row in feedback if row.get("label")})
    return {**counts, "matched": len(joined.rows), "unknown_ids": joined.unknown}
