//! The carekeep binary.

fn main() {}
