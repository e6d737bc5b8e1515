"""The registry: model packages, MLflow tracking and registry, promotion and rollback through the ledger."""
