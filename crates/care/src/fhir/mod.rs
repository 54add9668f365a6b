//! FHIR R4 interactions (R4, "RESTful API") over the vault.
//!
//! Invariant: a body leaves this module only as [`carekeep_vault::Phi`] or as [`Answer`], which carries the projection that
//! its reader is allowed; whoever writes the response applies it.

mod bundle;
mod convert;
mod cursor;
mod delete;
mod error;
mod history;
mod read;
mod search;
mod write;

use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_policy::Projection;
use carekeep_vault::{Caller, Plain, Vault};

pub use bundle::{BundleAnswer, BundleLimits, ReadBundle};
pub use error::FhirError;
pub use history::{HistoryPage, Version};
pub use search::{Found, SearchRequest};
pub use write::Condition;

use carekeep_fhir::types::ResourceType;

/// The FHIR interactions of one caller at one tenant's base address.
#[derive(Clone, Copy)]
pub struct Fhir<'a> {
    /// The vault.
    pub vault: &'a Vault,
    /// Who asks.
    pub caller: &'a Caller,
    /// The tenant's FHIR base address without a slash at the end, such as `https://acme.example/fhir/R4`.
    pub base: &'a str,
}

/// A resource that was written.
pub struct Answer {
    /// Its type.
    pub kind: ResourceType,
    /// Its id.
    pub id: ResourceId,
    /// Its version now.
    pub version: u32,
    /// When that was written.
    pub at: Timestamp,
    /// Whether it is new.
    pub created: bool,
    /// The body as stored. Apply `projection` before it leaves.
    pub body: Plain,
    /// What of it the writer may see.
    pub projection: Projection,
}
