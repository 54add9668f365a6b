//! Search: what of a resource can be found ([`extract`]), what a query asks for ([`parse_query`]), and whether the one
//! answers the other ([`SearchPlan::matches`]).
//!
//! Invariant: for the parameters of the table ([`params`]) a plan matches a resource if and only if the extracted
//! values say so; the store may run the plan on blind tokens and clear columns, and confirm with the same values after
//! opening. A query value is PHI (a name, a diagnosis): plans have no `Debug`, and no error repeats a value.

pub(crate) mod dates;
mod error;
mod extract;
mod matching;
mod normal;
pub mod params;
mod query;
mod shown;

use carekeep_kernel::{
    ResourceId, Timestamp,
    index::{ClearColumns, IndexValue, ParamId, Scope},
};
pub use error::SearchError;
pub use extract::extract;
pub use matching::Facts;
pub use query::parse_query;
pub use shown::shown_by;

use crate::{project::Projection, types::ResourceType};

/// What can be searched for in one resource.
pub struct Extracted {
    /// What may stand in the clear beside the sealed row.
    pub clear: ClearColumns,
    /// What becomes tokens. No value is there twice.
    pub values: Vec<IndexValue>,
    /// There were more values than are kept (2,000, or 32 clear categories): refuse the resource, since parts of it could not
    /// be found.
    pub truncated: bool,
}

/// How to treat parameters that are not supported: the HTTP header `Prefer: handling=` (R4, search, "Handling errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// Refuse the search. The default: leaving a filter out would disclose more than was asked for.
    #[default]
    Strict,
    /// Leave the parameter out; the `self` link shows what was used.
    Lenient,
}

impl Handling {
    /// Reads the values of a `Prefer` header; anything unknown leaves the default.
    #[must_use]
    pub fn from_prefer(header: &str) -> Self {
        let mut parts = header.split([',', ';']).map(str::trim);
        if parts.any(|part| part.eq_ignore_ascii_case("handling=lenient")) {
            Self::Lenient
        } else {
            Self::Strict
        }
    }
}

/// A comparison prefix of a date parameter (R4, search, "Prefixes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// The resource's range lies inside the value's range.
    Eq,
    /// Not [`Prefix::Eq`].
    Ne,
    /// The resource's range reaches below the value's range.
    Lt,
    /// The resource's range reaches above the value's range.
    Gt,
    /// [`Prefix::Lt`] or [`Prefix::Eq`].
    Le,
    /// [`Prefix::Gt`] or [`Prefix::Eq`].
    Ge,
    /// The resource's range starts after the value's range.
    Sa,
    /// The resource's range ends before the value's range.
    Eb,
}

/// One date of a query: a prefix and a range `start..end` in microseconds since the Unix epoch, `end` exclusive. A date
/// without a zone is UTC.
///
/// With `s`, `e` the event's start and end (a missing start is minus, a missing end plus infinity; an event that has neither
/// never matches):
/// `Eq` s >= start and e <= end · `Ne` not Eq · `Lt` s < start · `Gt` e > end · `Le` Lt or Eq · `Ge` Gt or Eq ·
/// `Sa` s >= end · `Eb` e <= start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DateMatch {
    /// The comparison.
    pub prefix: Prefix,
    /// First microsecond of the value.
    pub start: i64,
    /// First microsecond after the value.
    pub end: i64,
}

/// A filter over clear columns. The alternatives inside one filter are ORed, filters are ANDed. An empty list of
/// alternatives matches nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum ClearFilter {
    /// [`ClearColumns::status`] is one of these.
    Status(Vec<String>),
    /// One of [`ClearColumns::categories`] fits one of these.
    Category(Vec<CategoryMatch>),
    /// The event's range fits one of these.
    Event(Vec<DateMatch>),
    /// The moment of the last change, as the range of that one microsecond, fits one of these.
    LastUpdated(Vec<DateMatch>),
}

/// A category in a query. The column holds `system|code`, or `|code` for a code without system.
#[derive(Clone, PartialEq, Eq)]
pub enum CategoryMatch {
    /// This very column text.
    Exact(String),
    /// The code under any system, or none: the column text ends with `|code`.
    Code(String),
}

/// One alternative of a term: equal to one [`IndexValue`].
pub type IndexValueMatch = IndexValue;

/// What to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// The last change.
    LastUpdated,
    /// The event's start; resources without one come last.
    Event,
}

/// The order of the results; ties are broken by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// What to sort by.
    pub key: SortKey,
    /// Latest first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self { key: SortKey::LastUpdated, descending: true }
    }
}

/// What a search asks for, as data. Everything is ANDed.
#[derive(Clone, PartialEq, Eq)]
pub struct SearchPlan {
    /// The type searched in.
    pub kind: ResourceType,
    /// `_id`: one of these. `Some` of nothing matches nothing.
    pub ids: Option<Vec<ResourceId>>,
    /// `patient` or `subject`: in the chart of one of these. `Some` of nothing matches nothing.
    pub patient: Option<Vec<ResourceId>>,
    /// Filters over clear columns.
    pub clear: Vec<ClearFilter>,
    /// ANDed groups; inside a group one value must be among the resource's. An empty group matches nothing.
    pub terms: Vec<Vec<IndexValueMatch>>,
    /// The order.
    pub sort: Sort,
    /// Results per page, 0 to 200.
    pub count: u16,
    /// Where the page starts: what the server gave out as `_cursor`, unread.
    pub cursor: Option<String>,
    /// The projections that show every element that is asked for or sorted by ([`shown_by`]): of a resource that is shown by
    /// another one, the search must tell nothing.
    pub shown_by: Vec<Projection>,
    /// The parameters that were used, for the `self` link (without `_cursor`).
    pub used: Vec<(String, String)>,
}

impl SearchPlan {
    /// Results per page when the query does not say.
    pub const DEFAULT_COUNT: u16 = 20;
    /// The most results per page; a larger `_count` is cut to it, as R4 allows.
    pub const MAX_COUNT: u16 = 200;

    /// Whether any term needs the tokens of single patients, so that the store must expand the search over a panel.
    #[must_use]
    pub fn needs_patient_tokens(&self) -> bool {
        self.terms.iter().flatten().any(|value| value.scope == Scope::Patient)
    }
}

/// The values of one parameter, for tests and for the store's planner.
pub fn values_of(extracted: &Extracted, param: ParamId) -> impl Iterator<Item = &IndexValue> {
    extracted.values.iter().filter(move |value| value.param == param)
}

/// A moment as the range of its one microsecond.
const fn instant_range(moment: Timestamp) -> (i64, i64) {
    (moment.as_micros(), moment.as_micros().saturating_add(1))
}
