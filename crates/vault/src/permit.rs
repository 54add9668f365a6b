//! Permits: evidence that Cedar allowed one thing and that the ledger durably says so.
//!
//! Invariant: [`Permit`] has private fields, no constructor outside this crate, no `Clone`, and is consumed by use. It
//! names the tenant, the resource, its version and the projection it was granted for.

use std::{marker::PhantomData, sync::Arc};

use carekeep_kernel::{EntryId, ResourceId, TenantId};
use carekeep_keys::DataKey;
use carekeep_policy::{Projection, ResourceKind};

use crate::catalogue::Act;

/// Leave to do `A` once, to one version of one resource.
#[must_use = "a permit is spent by use; an unused one was an audited access for nothing"]
pub struct Permit<A: Act> {
    pub(crate) tenant: TenantId,
    pub(crate) kind: ResourceKind,
    pub(crate) id: ResourceId,
    /// The version that may be opened, or the version that a change starts from (0 for a new resource).
    pub(crate) version: u32,
    pub(crate) projection: Projection,
    /// The data key that opens the row: whoever holds no permit holds no key. `None` for permits to write.
    pub(crate) key: Option<Arc<DataKey>>,
    /// The audit entry that records this permit.
    pub(crate) entry: EntryId,
    pub(crate) action: PhantomData<fn() -> A>,
}

impl<A: Act> Permit<A> {
    /// The audit entry that records this permit.
    #[must_use]
    pub const fn entry(&self) -> EntryId {
        self.entry
    }
}
