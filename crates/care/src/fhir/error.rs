//! Why a FHIR interaction was not done.

use carekeep_fhir::{
    bundle::BundleError, json::JsonError, outcome::IssueType, outcome::Outcome, project::HiddenLoss,
    search::SearchError, types::CompartmentError, validate::Finding,
};
use carekeep_policy::DenyReason;
use carekeep_vault::AccessError;

/// A FHIR interaction that was refused or failed. No message repeats a value of a body.
#[derive(Debug, thiserror::Error)]
pub enum FhirError {
    /// The vault said no, or something that it needs is away.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The body is no acceptable JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The body is not a valid resource of its type.
    #[error("the resource is not valid FHIR R4: mend the elements named in the issues")]
    Invalid(Vec<Finding>),
    /// The resource names no patient of this server.
    #[error(transparent)]
    Compartment(#[from] CompartmentError),
    /// The search was not understood, or asks for too much.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The bundle was not understood.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// What was sent does not fit the address that it was sent to.
    #[error("{0}")]
    Mismatch(&'static str),
    /// `If-Match` is missing or malformed.
    #[error("{0}")]
    Condition(&'static str),
    /// A conditional creation matches more than one resource.
    #[error("the condition matches more than one resource: make it more specific")]
    MultipleMatches,
    /// The change would take away what the writer may not see.
    #[error(transparent)]
    Hidden(#[from] HiddenLoss),
    /// The resource has more searchable values than can be kept.
    #[error("the resource has too many searchable values: split it into several resources")]
    TooManyValues,
}

impl FhirError {
    /// The HTTP status (R4, "RESTful API").
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Access(error) => access_status(error),
            Self::Json(_) | Self::Search(_) | Self::Bundle(_) | Self::Mismatch(_) => 400,
            Self::Invalid(_) | Self::Compartment(_) | Self::Hidden(_) | Self::TooManyValues => 422,
            Self::Condition(_) | Self::MultipleMatches => 412,
        }
    }

    /// The OperationOutcome to answer with.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Invalid(findings) => findings.iter().fold(Outcome::default(), |outcome, finding| {
                outcome.with(carekeep_fhir::outcome::Issue {
                    severity: carekeep_fhir::outcome::Severity::Error,
                    kind: finding.kind,
                    diagnostics: finding.advice.clone(),
                    expression: vec![finding.expression.clone()],
                })
            }),
            Self::Compartment(error) => {
                Outcome::error(IssueType::BusinessRule, error.to_string()).at(error.expression())
            }
            Self::Bundle(error) => {
                Outcome::error(error.issue_type(), error.to_string()).at(error.expression())
            }
            Self::Access(AccessError::Forbidden(DenyReason::NeedsKnownDevice)) => {
                Outcome::error(IssueType::Login, NEEDS_KNOWN_DEVICE)
            }
            Self::Hidden(loss) => Outcome::error(IssueType::BusinessRule, loss.to_string()).at(&loss.0),
            other => Outcome::error(other.issue_type(), other.to_string()),
        }
    }

    fn issue_type(&self) -> IssueType {
        match self {
            Self::Access(error) => access_issue(error),
            Self::Json(_) => IssueType::Structure,
            Self::Search(error) => error.issue_type(),
            Self::Condition(_) => IssueType::Conflict,
            Self::MultipleMatches => IssueType::MultipleMatches,
            Self::Mismatch(_) | Self::Invalid(_) | Self::Bundle(_) => IssueType::Invalid,
            Self::Compartment(_) | Self::Hidden(_) => IssueType::BusinessRule,
            Self::TooManyValues => IssueType::TooCostly,
        }
    }
}

/// The code of the problem that other routes answer with, and what to do.
const NEEDS_KNOWN_DEVICE: &str = "device-not-confirmed: your organisation lets you see health data from devices that \
    you have confirmed; confirm this one from such a device, or the first one from itself";

const fn access_status(error: &AccessError) -> u16 {
    match error {
        AccessError::Invisible => 404,
        AccessError::Gone => 410,
        AccessError::Forbidden(_) | AccessError::NotShown => 403,
        AccessError::Conflict => 412,
        AccessError::Invalid(_) => 422,
        AccessError::TooCostly(_) => 400,
        AccessError::Unavailable { .. } => 503,
    }
}

const fn access_issue(error: &AccessError) -> IssueType {
    match error {
        AccessError::Invisible => IssueType::NotFound,
        AccessError::Gone => IssueType::Deleted,
        AccessError::Forbidden(
            DenyReason::NeedsSecondFactor | DenyReason::NeedsFreshFactor | DenyReason::NeedsKnownDevice,
        ) => IssueType::Login,
        AccessError::Forbidden(DenyReason::Suspended) => IssueType::Suppressed,
        AccessError::Forbidden(_) | AccessError::NotShown => IssueType::Forbidden,
        AccessError::Conflict => IssueType::Conflict,
        AccessError::Invalid(_) => IssueType::BusinessRule,
        AccessError::TooCostly(_) => IssueType::TooCostly,
        AccessError::Unavailable { .. } => IssueType::Transient,
    }
}
