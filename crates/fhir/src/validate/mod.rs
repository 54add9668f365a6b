//! Structural validation against the R4 definitions.

mod check;
mod definitions;
mod primitive;
mod rules;
mod xhtml;

use crate::{json::Json, outcome::IssueType, types::ResourceType};

/// One thing that is wrong. Nothing in it is a value of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: IssueType,
    /// FHIRPath of the element, for example `Patient.name[0].given`.
    pub expression: String,
    /// What is wrong and what to do.
    pub advice: String,
}

/// Checks a document that claims to be a resource of type `kind`: known elements, cardinality, primitive formats, choices, codes of
/// required value sets, extensions, contained resources.
///
/// # Errors
/// Everything that is wrong, at most 20 findings, in the order of the document.
pub fn validate(kind: ResourceType, document: &Json) -> Result<(), Vec<Finding>> {
    check::check(kind, document)
}
