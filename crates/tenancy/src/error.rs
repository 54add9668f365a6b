//! What can go wrong when tenants are made, moved to a new schema version or looked up.

use carekeep_keys::KeyError;

/// A failure of the control plane. Each message says what to do next; none holds PHI or a secret.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// The database refused or could not be reached.
    #[error(
        "the {database} database did not answer ({code}): check that it runs and that the login may connect"
    )]
    Database {
        /// Which database.
        database: &'static str,
        /// SQLSTATE, or the kind of transport failure. Never the server's text: it may quote values.
        code: String,
    },
    /// The key service refused or could not be reached.
    #[error("the key service: {0}")]
    Keys(#[from] KeyError),
    /// Sealing or opening a stored login failed.
    #[error("a sealed login could not be processed: {0}")]
    Envelope(#[from] carekeep_keys::EnvelopeError),
    /// A name that cannot be used.
    #[error("{field} {value:?} is not usable: {advice}")]
    Name {
        /// Which field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What to give instead.
        advice: &'static str,
    },
    /// The slug or host belongs to another tenant, or there is one of this kind already.
    #[error("{what} {value:?} belongs to another tenant: choose another one")]
    Taken {
        /// Slug, host or kind.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// No such tenant.
    #[error("no tenant {0:?}: `carekeep tenant list` shows those that exist")]
    Unknown(String),
    /// A `tenant.toml` that cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The catalogue lint found something after a migration.
    #[error("the catalogue of {database} breaks the rules of tenancy: {findings:?}")]
    Lint {
        /// Which database.
        database: &'static str,
        /// What was found.
        findings: Vec<String>,
    },
}

impl TenancyError {
    /// Reduces a driver error to its SQLSTATE: the server's own text may quote values (BARS X10).
    pub(crate) fn database(database: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |error| Self::Database { database, code: carekeep_vault::sqlstate(&error) }
    }
}
