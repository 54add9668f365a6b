//! The use cases of care, one file each.
//!
//! Everything here goes through the vault: fetch sealed, ask for a permit, open. Nothing here knows SQL, HTTP or keys.

pub mod fhir;
