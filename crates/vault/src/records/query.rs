//! A search over sealed rows, as data. The FHIR layer says what; the vault knows how.

use carekeep_kernel::{ResourceId, index::IndexValue};
use carekeep_policy::{Projection, ResourceKind};

/// How a row's range `start..end` compares with a query's range (R4, search, "Prefixes"; the end is exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Lies inside.
    Eq,
    /// Does not lie inside.
    Ne,
    /// Reaches below.
    Lt,
    /// Reaches above.
    Gt,
    /// Reaches below or lies inside.
    Le,
    /// Reaches above or lies inside.
    Ge,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
}

/// One range of a query, microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How the row's range must compare.
    pub comparison: Comparison,
    /// First microsecond.
    pub start: i64,
    /// First microsecond after.
    pub end: i64,
}

/// A condition on what lies in the clear. Alternatives inside one filter are ORed.
#[derive(Clone)]
pub enum ClearFilter {
    /// The status is one of these.
    Status(Vec<String>),
    /// Some category is one of `exact` (`system|code`), or ends with one of `codes` (`|code`).
    Category {
        /// Whole column texts.
        exact: Vec<String>,
        /// Ends of column texts.
        codes: Vec<String>,
    },
    /// The event's range; an event that has neither start nor end never matches, and a missing one is infinite.
    Event(Vec<Span>),
    /// The moment of the last change, as the range of that one microsecond.
    LastUpdated(Vec<Span>),
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
    pub terms: Vec<Vec<IndexValue>>,
    /// The projections that show all that the conditions and the order look at. A row that the caller sees by another one is
    /// dropped as if it did not match: what finds it would tell what the projection hides. Empty: nothing is found.
    pub shown_by: Vec<Projection>,
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
