//! Whether a plan finds a resource, by the extracted values alone: the meaning that the store's SQL must have, and the
//! confirmation after opening.

use std::collections::HashSet;

use carekeep_kernel::{ResourceId, Timestamp, index::ClearColumns};

use super::{CategoryMatch, ClearFilter, DateMatch, Extracted, Prefix, SearchPlan, instant_range};
use crate::types::ResourceType;

/// What the row itself says, outside of its body.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The type.
    pub kind: ResourceType,
    /// The id.
    pub id: ResourceId,
    /// The chart it belongs to; a patient belongs to its own.
    pub patient: Option<ResourceId>,
    /// The last change.
    pub last_updated: Timestamp,
}

impl SearchPlan {
    /// Whether this resource answers the search. Paging and order are no part of it.
    #[must_use]
    pub fn matches(&self, facts: &Facts, extracted: &Extracted) -> bool {
        let listed = |ids: &Option<Vec<ResourceId>>, id: Option<ResourceId>| {
            ids.as_ref().is_none_or(|ids| id.is_some_and(|id| ids.contains(&id)))
        };
        let values: HashSet<_> = extracted.values.iter().collect();
        facts.kind == self.kind
            && listed(&self.ids, Some(facts.id))
            && listed(&self.patient, facts.patient)
            && self.clear.iter().all(|filter| filter.matches(&extracted.clear, facts.last_updated))
            && self.terms.iter().all(|group| group.iter().any(|value| values.contains(value)))
    }
}

impl ClearFilter {
    /// Whether the clear columns pass this filter.
    #[must_use]
    pub fn matches(&self, clear: &ClearColumns, last_updated: Timestamp) -> bool {
        match self {
            Self::Status(any) => clear.status.as_ref().is_some_and(|status| any.contains(status)),
            Self::Category(any) => {
                clear.categories.iter().any(|category| any.iter().any(|wanted| wanted.matches(category)))
            }
            Self::Event(any) => {
                let known = clear.event_start.is_some() || clear.event_end.is_some();
                let start = clear.event_start.unwrap_or(i64::MIN);
                let end = clear.event_end.unwrap_or(i64::MAX);
                known && any.iter().any(|date| date.matches(start, end))
            }
            Self::LastUpdated(any) => {
                let (start, end) = instant_range(last_updated);
                any.iter().any(|date| date.matches(start, end))
            }
        }
    }
}

impl CategoryMatch {
    /// Whether a column text fits.
    #[must_use]
    pub fn matches(&self, category: &str) -> bool {
        match self {
            Self::Exact(text) => category == text,
            Self::Code(code) => category.strip_suffix(code.as_str()).is_some_and(|rest| rest.ends_with('|')),
        }
    }
}

impl DateMatch {
    /// Whether a range fits.
    #[must_use]
    pub const fn matches(&self, start: i64, end: i64) -> bool {
        let inside = start >= self.start && end <= self.end;
        match self.prefix {
            Prefix::Eq => inside,
            Prefix::Ne => !inside,
            Prefix::Lt => start < self.start,
            Prefix::Gt => end > self.end,
            Prefix::Le => inside || start < self.start,
            Prefix::Ge => inside || end > self.end,
            Prefix::Sa => start >= self.end,
            Prefix::Eb => end <= self.start,
        }
    }
}
