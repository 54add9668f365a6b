//! What the vault and tenancy promise, on a real Postgres: see `tests/`.
