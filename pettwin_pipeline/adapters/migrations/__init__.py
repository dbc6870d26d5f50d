"""The ledger's tables, one migration after another. Run by `ledger.open_ledger` through alembic."""
