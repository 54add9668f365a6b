//! The carekeep binary.
