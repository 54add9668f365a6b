//! What can be wrong with policies. Every message says where and what to do.

use std::path::PathBuf;

/// Where in the policies something is: a file and a line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the policy directory; `overlay` for a tenant's own policies.
    pub file: String,
    /// The line where the policy begins.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Policies that are refused, or a request that cannot be put to them.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file of the policy directory cannot be read.
    #[error("cannot read {path}: {source}; give a directory with schema.cedarschema, base/ and invariants/")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The schema is not a Cedar schema.
    #[error("schema.cedarschema is no Cedar schema: {0}")]
    Schema(String),
    /// The schema lacks something that the program speaks of, or knows something that it does not.
    #[error("schema.cedarschema and the program disagree on {0}: change both together")]
    Vocabulary(String),
    /// Not a Cedar policy.
    #[error("{place}: not a Cedar policy: {message}")]
    Syntax {
        /// Where the policy begins.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// Strict validation against the schema failed, or warned.
    #[error("{place}: policy {id} does not fit the schema: {message}")]
    Validation {
        /// Where the policy begins.
        place: Place,
        /// Its id.
        id: String,
        /// What the validator says.
        message: String,
    },
    /// An annotation is missing or has a value that means nothing.
    #[error("{place}: {message}")]
    Annotation {
        /// Where the policy begins.
        place: Place,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// Two policies have one id.
    #[error("{place}: the id {id:?} is already taken at {first}; give every policy its own @id")]
    DuplicateId {
        /// Where the second one begins.
        place: Place,
        /// The id.
        id: String,
        /// Where the first one begins.
        first: Place,
    },
    /// A tenant's policies have not been proven to keep the platform's invariants.
    #[error(
        "these policies are not proven: run `carekeep policy prove` on exactly these files and pass its report"
    )]
    Unproven,
}
