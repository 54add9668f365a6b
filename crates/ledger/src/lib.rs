//! Merkle audit log: entries, checkpoints, proofs, offline verification. Pure.
