"""Alembic migrations of the ledger. `ftcore.ledger.database` runs them when the stored version is not `HEAD_REVISION`."""

HEAD_REVISION = "0001"
"""Newest file under `versions/`: compared with the database on opening, so that Alembic is imported only when there is work."""
