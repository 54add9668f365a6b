//! FHIR R4 (4.0.1): documents, definitions, validation, search, bundles, projections. Pure: no I/O, no clock, no chance.
//!
//! Bodies stay JSON documents ([`json::Json`]); only what is computed on is read out of them. Nothing in this crate
//! prints or copies a body by accident, and no error message repeats a value of one.

pub mod bundle;
pub mod capability;
pub mod json;
pub mod meta;
pub mod outcome;
pub mod project;
pub mod search;
mod type_names;
pub mod types;
pub mod validate;

/// The FHIR version that is spoken.
pub const FHIR_VERSION: &str = "4.0.1";
