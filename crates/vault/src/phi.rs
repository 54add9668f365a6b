//! Opened health data.
//!
//! Invariant: a [`Phi`] comes only from [`Sealed::open`](crate::Sealed::open), which takes a permit. It cannot be
//! printed, logged, serialised or cloned, and is wiped when dropped. [`Phi::expose`] is for the modules that write a
//! response or compute on the body; a test keeps the list of them short.

use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_policy::{Projection, ResourceKind};
use zeroize::Zeroizing;

/// One opened resource, with the projection that its reader is allowed to see.
pub struct Phi {
    pub(crate) plain: Zeroizing<Vec<u8>>,
    pub(crate) body_at: usize,
    pub(crate) kind: ResourceKind,
    pub(crate) id: ResourceId,
    pub(crate) version: u32,
    pub(crate) last_updated: Timestamp,
    pub(crate) projection: Projection,
}

/// A borrowed look at opened data. Whoever takes it must apply the projection before anything leaves the process.
pub struct Exposed<'a> {
    /// The resource as stored: UTF-8 JSON with `id`, `meta.versionId` and `meta.lastUpdated` set.
    pub body: &'a [u8],
    /// What of it the reader may see.
    pub projection: Projection,
}

impl Phi {
    /// The body, for the response view and for use cases that compute on it.
    #[must_use]
    pub fn expose(&self) -> Exposed<'_> {
        Exposed { body: self.plain.get(self.body_at..).unwrap_or_default(), projection: self.projection }
    }

    /// The resource type.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// The resource's id.
    #[must_use]
    pub const fn id(&self) -> ResourceId {
        self.id
    }

    /// The version, counted from 1.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// When this version was written.
    #[must_use]
    pub const fn last_updated(&self) -> Timestamp {
        self.last_updated
    }
}
