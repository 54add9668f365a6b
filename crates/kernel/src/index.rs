//! Searchable values: what the FHIR layer finds in a resource and the vault turns into blind tokens.
//!
//! The FHIR layer says *what* may be searched for; the vault decides what of it is stored in the clear (see
//! `docs/data-classification.md`) and stores keyed tokens of the rest. The values themselves are sealed beside the
//! body, so that a match can be confirmed inside the vault after opening. A value is PHI: it has no `Debug`.

use serde::{Deserialize, Serialize};

/// A search parameter: the FHIR parameter's number in the FHIR crate's table. Stable for ever, because it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParamId(pub i16);

/// How widely a token of this parameter may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// The same value gives the same token all over the tenant: identifiers, names, birth dates.
    Tenant,
    /// The token is salted with the patient: the same diagnosis in two patients looks different.
    Patient,
}

/// One searchable value of a resource. Text is already normalised by the FHIR layer (case, accents).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IndexValue {
    /// The search parameter that finds it.
    pub param: ParamId,
    /// How widely its token may be compared.
    pub scope: Scope,
    /// The exact text that a query must repeat to match, for example `http://loinc.org|85354-9`, `|85354-9`,
    /// `birthdate:1980-05` or a name prefix.
    pub text: String,
}

/// What is stored in the clear beside a sealed resource, as `docs/data-classification.md` allows. No `Debug` either:
/// an event time of a patient is still about a patient.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClearColumns {
    /// Workflow status, for example `final`.
    pub status: Option<String>,
    /// Category codes as `system|code`.
    pub categories: Vec<String>,
    /// When the event began, microseconds since the Unix epoch.
    pub event_start: Option<i64>,
    /// When the event ended (exclusive), microseconds since the Unix epoch; a day without a time ends 24 h later.
    pub event_end: Option<i64>,
}
