//! Sealed rows of the clinical schema: fetching, finding, writing. Nothing here opens a body, but for confirming a
//! search match inside the vault.

pub(crate) mod fetch;
pub(crate) mod query;
pub(crate) mod search;
pub(crate) mod write;
