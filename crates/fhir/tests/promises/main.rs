//! What the FHIR crate promises, each promise with the check that fails when it is broken.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![expect(clippy::print_stdout, reason = "the counts over the sample data are there to be read")]

mod bundle;
mod capability;
mod json;
mod project;
mod search;
mod search_oracle;
mod shared_data;
mod types;
mod validate;

use carekeep_fhir::json::{Json, Limits};
use carekeep_kernel::{ManualClock, ResourceId, SeededRandom, Timestamp};

/// A document from text that a test writes out.
fn doc(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default())
        .unwrap_or_else(|error| panic!("a sample document: {error}"))
}

/// Compact JSON as text.
fn text(document: &Json) -> String {
    String::from_utf8(document.to_vec()).expect("UTF-8")
}

/// A source of ids that gives the same ones every time.
fn ids() -> impl FnMut() -> ResourceId {
    let clock = ManualClock::at(Timestamp::from_micros(1_780_000_000_000_000));
    let random = SeededRandom::new(7);
    move || ResourceId::generate(&clock, &random)
}

const ANN: &str = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e";
const BEN: &str = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f";
