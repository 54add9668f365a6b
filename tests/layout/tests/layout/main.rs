//! Tests over the repository itself. Each rule is a function from what was found to a list of violations; it is tried on
//! made-up bad input first, so that a rule which cannot fail is noticed, and then on the repository.

#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

mod edges;
mod habits;
mod repository;
mod variants;

/// Fails with every violation, one a line.
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
