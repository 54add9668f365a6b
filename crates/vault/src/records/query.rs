//! A search over sealed rows, as data. The FHIR layer says what; the vault knows how.

use carekeep_kernel::{
    ResourceId, Timestamp,
    index::{ParamId, Scope},
};
use carekeep_policy::ResourceKind;

/// One text that a matching resource must have been indexed under.
#[derive(Clone)]
pub struct Term {
    /// The search parameter.
    pub param: ParamId,
    /// How widely its tokens compare.
    pub scope: Scope,
    /// The normalised text.
    pub text: String,
}

/// A condition on what lies in the clear.
#[derive(Clone)]
pub enum ClearFilter {
    /// The status is one of these.
    Status(Vec<String>),
    /// Some category is one of these (`system|code`, or `code` alone for any system).
    Category(Vec<String>),
    /// The event overlaps `[from, to)`; either end may be open.
    Event {
        /// Not over before this moment.
        from: Option<Timestamp>,
        /// Begun before this moment.
        to: Option<Timestamp>,
    },
    /// Last written in `[from, to)`.
    LastUpdated {
        /// Not before this moment.
        from: Option<Timestamp>,
        /// Before this moment.
        to: Option<Timestamp>,
    },
}

/// What results are ordered by. Ties are broken by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBy {
    /// When the resource was last written.
    LastUpdated,
    /// When the event began; resources without an event come last.
    Event,
}

/// Where the next page starts: behind this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The order key of the last resource shown, microseconds since the Unix epoch.
    pub key: i64,
    /// Its id.
    pub id: ResourceId,
}

/// A search. All conditions must hold.
#[derive(Clone)]
pub struct RecordQuery {
    /// The resource type.
    pub kind: ResourceKind,
    /// One of these ids.
    pub ids: Option<Vec<ResourceId>>,
    /// About one of these patients.
    pub patients: Option<Vec<ResourceId>>,
    /// Conditions on what is clear.
    pub clear: Vec<ClearFilter>,
    /// Conditions on what is tokenised: of each group, one term must match.
    pub terms: Vec<Vec<Term>>,
    /// The order.
    pub order: OrderBy,
    /// Newest first.
    pub descending: bool,
    /// Resources on a page, 1 to 1,000.
    pub count: u32,
    /// Where the page starts.
    pub after: Option<Cursor>,
    /// The query as asked, for the sealed part of the audit entry.
    pub asked: String,
}
