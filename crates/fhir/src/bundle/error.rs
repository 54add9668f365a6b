//! Why a bundle is refused; element names and entry numbers only.

use crate::outcome::IssueType;

/// What is wrong with a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleProblem {
    /// Not a Bundle.
    #[error("the body is no Bundle; send resourceType Bundle with type transaction or batch")]
    NotABundle,
    /// Another `type`.
    #[error("only bundles of type transaction and batch are carried out; set Bundle.type")]
    WrongKind,
    /// `entry` is no list of objects.
    #[error("Bundle.entry is no list of entries; send an array of objects")]
    BadEntries,
    /// More entries than allowed.
    #[error("the bundle has too many entries; send at most {0}, or split it")]
    TooManyEntries(usize),
    /// More conditions than allowed.
    #[error(
        "the bundle has too many conditions (ifNoneExist and conditional references); send at most {0}, or split it"
    )]
    TooManyConditions(usize),
    /// No `request`.
    #[error("the entry has no request; give it request.method and request.url")]
    NoRequest,
    /// `GET`, `PATCH`, `HEAD` or nonsense.
    #[error("the method is not supported in a bundle; use POST, PUT or DELETE")]
    Method,
    /// `request.url` is not what the method needs.
    #[error(
        "request.url does not fit; use Type for POST and Type/id for PUT and DELETE, with the id of a resource of this server"
    )]
    Url,
    /// A conditional update or delete.
    #[error("conditional update and delete are not supported; search first, then use the id")]
    ConditionalWrite,
    /// A type that is not served.
    #[error("the entry's resource type is not served here; see /metadata, and send such entries elsewhere")]
    UnsupportedType,
    /// `resource` is missing, or there for a deletion.
    #[error("the entry's resource does not fit its method; POST and PUT need one, DELETE has none")]
    Resource,
    /// The resource's type or id is another than that of `request.url`.
    #[error("the resource's type or id differs from request.url; make them the same")]
    Mismatch,
    /// `ifMatch` cannot be read.
    #[error("request.ifMatch cannot be read; send it as W/\"3\"")]
    IfMatch,
    /// Two entries with one `fullUrl`.
    #[error("two entries have the same fullUrl; give each its own")]
    DuplicateFullUrl,
    /// Two operations on one resource.
    #[error("two entries change the same resource; send one of them")]
    DuplicateTarget,
    /// A `urn:` reference without its entry.
    #[error(
        "a reference points at no entry of this bundle; add the entry or reference a stored resource as Type/id"
    )]
    Dangling,
    /// A conditional reference that the caller did not resolve to one resource.
    #[error("a conditional reference does not find exactly one resource; use Type/id")]
    ConditionalReference,
}

/// A bundle that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{}", at(*.entry))]
pub struct BundleError {
    /// What is wrong.
    pub problem: BundleProblem,
    /// Which entry, from 0.
    pub entry: Option<usize>,
}

fn at(entry: Option<usize>) -> String {
    entry.map_or_else(String::new, |index| format!(" (Bundle.entry[{index}])"))
}

impl BundleError {
    /// The issue type for the OperationOutcome.
    #[must_use]
    pub const fn issue_type(&self) -> IssueType {
        match self.problem {
            BundleProblem::TooManyEntries(_) | BundleProblem::TooManyConditions(_) => IssueType::TooCostly,
            BundleProblem::UnsupportedType
            | BundleProblem::Method
            | BundleProblem::WrongKind
            | BundleProblem::ConditionalWrite => IssueType::NotSupported,
            BundleProblem::DuplicateFullUrl | BundleProblem::DuplicateTarget => IssueType::Duplicate,
            BundleProblem::Dangling | BundleProblem::ConditionalReference => IssueType::NotFound,
            _ => IssueType::Invalid,
        }
    }

    /// The element, for `OperationOutcome.issue.expression`.
    #[must_use]
    pub fn expression(&self) -> String {
        self.entry.map_or_else(|| "Bundle".to_owned(), |index| format!("Bundle.entry[{index}]"))
    }
}
