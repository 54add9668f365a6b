//! Why a search is refused. A message names the parameter (which is no PHI) and never its value.

use crate::outcome::IssueType;

/// A search that is refused. Every variant but [`SearchError::TooCostly`] is the client's mistake (HTTP 400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The type has no such parameter here.
    #[error(
        "the search parameter {0} is not supported for this type; see searchParam in /metadata, or send Prefer: handling=lenient to leave it out"
    )]
    UnknownParameter(String),
    /// The parameter exists in R4 but would leak by frequency if it could be searched for.
    #[error(
        "the search parameter {0} has too few different values to be searched over sealed records; narrow by other parameters and filter the answer"
    )]
    LowCardinality(&'static str),
    /// A modifier (`:contains`, `:missing`, ...) that the parameter does not take.
    #[error("the modifier of {0} is not supported; use the plain parameter, or :exact for names")]
    Modifier(&'static str),
    /// A chained parameter (`patient.name`).
    #[error("chained search is not supported; search for the target first, then by its id")]
    Chained,
    /// No value.
    #[error("the search parameter {0} has no value; give one or leave the parameter out")]
    NoValue(&'static str),
    /// A value that the parameter cannot have.
    #[error("the value of {parameter} cannot be read; send {expected}")]
    Value {
        /// The parameter.
        parameter: &'static str,
        /// What to send.
        expected: &'static str,
    },
    /// `_sort` by something else.
    #[error("_sort takes _lastUpdated or the date parameter of the type, with or without -")]
    Sort,
    /// A result parameter that would change the answer's shape and is not supported.
    #[error("{0} is not supported; leave it out")]
    ResultParameter(&'static str),
    /// More than the server is willing to look up (HTTP 422 or 403, issue type `too-costly`).
    #[error("the search is too costly: {0}")]
    TooCostly(&'static str),
}

impl SearchError {
    /// The issue type for the OperationOutcome.
    #[must_use]
    pub const fn issue_type(&self) -> IssueType {
        match self {
            Self::TooCostly(_) => IssueType::TooCostly,
            Self::NoValue(_) | Self::Value { .. } => IssueType::Invalid,
            _ => IssueType::NotSupported,
        }
    }
}
