//! Bundles: reading transactions and batches into a plan ([`Draft`], [`Plan`]), writing search results, histories and
//! responses ([`write`]).
//!
//! Invariant: a plan is complete before anything is done: every new resource has its id, every reference inside the bundle
//! points at it, every operation is of a type that is served. Who carries it out does all of it or nothing.

mod draft;
mod error;
mod references;
pub mod write;

use carekeep_kernel::ResourceId;
pub use draft::{Condition, Draft};
pub use error::{BundleError, BundleProblem};
pub use references::has_conditional;

use crate::{json::Json, types::ResourceType};

/// What kind of bundle it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    /// All or nothing.
    Transaction,
    /// Each entry by itself.
    Batch,
}

/// What to do with entries that this server cannot keep, and with references to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unsupported {
    /// Refuse the bundle. The default: what a client sends to be done together is not done in part.
    #[default]
    Refuse,
    /// Name them in [`Plan::refused`] and keep references to them as they are: for the importer, who reports them.
    Report,
}

/// How a bundle is read.
#[derive(Debug, Clone, Copy)]
pub struct BundleOptions<'a> {
    /// Our own base address without a slash at the end, to know our own absolute references.
    pub base: &'a str,
    /// The most entries of a batch. Default 500.
    pub max_batch: usize,
    /// The most entries of a transaction. Default 500.
    pub max_transaction: usize,
    /// The most conditional creations and conditional references together: each is a search. Default 100.
    pub max_conditions: usize,
    /// What to do with what is not served.
    pub unsupported: Unsupported,
}

impl Default for BundleOptions<'_> {
    fn default() -> Self {
        Self {
            base: "",
            max_batch: 500,
            max_transaction: 500,
            max_conditions: 100,
            unsupported: Unsupported::Refuse,
        }
    }
}

/// What an entry asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Create a resource; its id is already chosen.
    Create,
    /// Replace the resource of this id.
    Update,
    /// Delete the resource of this id.
    Delete,
}

/// One thing to do.
pub struct Operation {
    /// Which entry of the bundle asked, from 0; the response keeps this order.
    pub index: usize,
    /// What to do.
    pub method: Method,
    /// The type.
    pub kind: ResourceType,
    /// The id: fresh for a creation.
    pub id: ResourceId,
    /// Only if this is the current version (`ifMatch`).
    pub if_match: Option<u64>,
    /// The resource, references rewritten; `None` for a deletion.
    pub resource: Option<Json>,
}

/// An entry that was left out; see [`Unsupported::Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which entry, from 0.
    pub index: usize,
    /// The type's name, if R4 has such a type.
    pub kind: String,
}

/// A bundle, ready to be carried out.
pub struct Plan {
    /// Transaction or batch.
    pub kind: BundleKind,
    /// What to do, in the order that R4 asks for (deletions, creations, updates), each in the order of the bundle. Conditional
    /// creations that found their resource are not among them.
    pub operations: Vec<Operation>,
    /// Entries that were left out, by name.
    pub refused: Vec<Refused>,
    /// Entries of a batch that cannot be done as they stand, each with its reason.
    pub faulty: Vec<BundleError>,
    /// References inside the bundle (`urn:`) that were kept because nothing of the plan has that address.
    pub dangling: usize,
}
