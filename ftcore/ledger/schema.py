"""The ledger's tables (SQLAlchemy Core). The migrations create them; this module is what queries are written against.

`events` is the record of what happened and is only ever appended to. All other tables are states that follow from it, kept so
that questions are one look-up; `Ledger.verify` replays the events and compares.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("payload_digest", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Index("events_by_spec", "spec", "kind", "seq"),
)

heads = sa.Table(
    "heads",
    metadata,
    sa.Column("spec", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), nullable=False),
    sa.Column("model_digest", sa.Text, nullable=False),
    sa.Column("package_uri", sa.Text, nullable=False),
    sa.Column("promotion_id", sa.Text, sa.ForeignKey("promotions.promotion_id"), nullable=False),
    sa.Column("verdict_digest", sa.Text, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("since", sa.Text, nullable=False),
)

promotions = sa.Table(
    "promotions",
    metadata,
    sa.Column("promotion_id", sa.Text, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("intent", sa.Text, sa.CheckConstraint("intent IN ('promotion', 'rollback')"), nullable=False),
    sa.Column("model_digest", sa.Text, nullable=False),
    sa.Column("verdict_digest", sa.Text, nullable=False),
    sa.Column("expected_digest", sa.Text),
    sa.Column("expected_seq", sa.Integer, nullable=False),
    sa.Column("package_uri", sa.Text, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), nullable=False),
    sa.Column("mlflow_version", sa.Text),
    sa.CheckConstraint("state IN ('PREPARED', 'COMMITTED', 'APPLIED', 'ABORTED')", name="promotions_state"),
    sa.Index("promotions_by_spec", "spec", "state", "seq"),
)

fences = sa.Table(
    "fences",
    metadata,
    sa.Column("spec", sa.Text, primary_key=True),
    sa.Column("issued", sa.Integer, nullable=False),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.CheckConstraint("seen <= issued", name="fences_seen"),
)

requests = sa.Table(
    "retrain_requests",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
    sa.Column("opened_at", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("data", sa.Text),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("closed_at", sa.Text),
    sa.CheckConstraint("state IN ('OPEN', 'DONE', 'CLOSED')", name="retrain_requests_state"),
    # The rule "at most one open request per spec" is the database's, so that no race can break it: the migrations make the index
    # one_open_request. Not declared here, where it would load the whole PostgreSQL dialect into every command.
)

data_versions = sa.Table(
    "data_versions",
    metadata,
    sa.Column("seq", sa.Integer, sa.ForeignKey("events.seq"), primary_key=True, autoincrement=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("num_rows", sa.Integer, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Index("data_versions_by_spec", "spec", "seq"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
    sa.Column("links", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text, nullable=False, server_default=""),
    sa.Column("tried_at", sa.Text),
    sa.Column("done_at", sa.Text),
    sa.Index("alerts_pending", "done_at", "id"),
)

receipts = sa.Table(
    "alert_receipts",
    metadata,
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alerts.id"), primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
)
