//! What the HTTP API promises: see `tests/`.
