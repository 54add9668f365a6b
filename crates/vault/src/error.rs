//! Why the vault says no, or cannot say anything.

use std::sync::Arc;

use carekeep_policy::DenyReason;

/// The outcome of asking for health data that is not "yes". None of the messages holds PHI.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccessError {
    /// There is nothing there that the caller may know of: absent, foreign and invisible look alike.
    #[error("not found: check the id; it may also belong to a chart that you are not part of")]
    Invisible,
    /// The resource was deleted, and the caller may know.
    #[error("deleted: read an earlier version by its history if you need it")]
    Gone,
    /// The caller may never do this kind of thing, whatever the row, or needs a stronger or fresher factor.
    #[error("not allowed ({0:?}): ask your clinic's administrator if you need this for your work")]
    Forbidden(DenyReason),
    /// A search for, or sorted by, what no policy could show the caller of this kind of resource, whatever the row.
    #[error(
        "not allowed: this search asks about elements that you may not see; search by what you are shown, by _id, patient or _lastUpdated, or, as an importer, by identifier"
    )]
    NotShown,
    /// Somebody else changed it first, or the version asked for is not the present one.
    #[error("version conflict: read the resource again and repeat the change on its present version")]
    Conflict,
    /// What was asked is well-formed but cannot be done.
    #[error("{0}")]
    Invalid(&'static str),
    /// A search that would have to look at too much.
    #[error("too costly: {0}")]
    TooCostly(&'static str),
    /// Something that a safe answer needs is away. Nothing was shown and nothing was changed.
    #[error("{what} is not available just now: try again in a few seconds")]
    Unavailable {
        /// What is away: `records`, `audit`, `keys`, `directory`.
        what: &'static str,
        /// The cause for the operator's log: SQLSTATE or kind, never a value.
        cause: Arc<str>,
    },
}

impl AccessError {
    pub(crate) fn unavailable(what: &'static str, cause: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { what, cause: cause.into() }
    }

    pub(crate) fn records(error: &sqlx::Error) -> Self {
        Self::unavailable("records", sqlstate(error))
    }
}

/// The SQLSTATE of a driver error, or the kind of transport failure. The server's own text may quote values of rows
/// (`Key (mrn)=(A-1) already exists`), so it never leaves this function (BARS X10).
#[must_use]
pub fn sqlstate(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            format!("SQLSTATE {}", database.code().unwrap_or(std::borrow::Cow::Borrowed("unknown")))
        }
        sqlx::Error::Io(io) => format!("connection: {}", io.kind()),
        sqlx::Error::Tls(_) => "TLS failure".to_owned(),
        sqlx::Error::PoolTimedOut => "no free connection".to_owned(),
        sqlx::Error::PoolClosed => "pool closed".to_owned(),
        sqlx::Error::RowNotFound => "no row".to_owned(),
        sqlx::Error::Protocol(_) => "protocol failure".to_owned(),
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} has an unexpected type"),
        _ => "driver failure".to_owned(),
    }
}
