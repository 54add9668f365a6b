//! Test harness: TestApp, template database, fake clock, seeded randomness.
