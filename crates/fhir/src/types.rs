//! The resource types that are served, references between them, and whose chart a resource belongs to.
//!
//! Rule: every clinical resource belongs to exactly one patient of this server. A resource that R4 would allow to be about
//! nobody, a group, a device or a patient of another server is refused, because nothing could decide who may see it.

use std::{fmt, str::FromStr};

use carekeep_kernel::ResourceId;

pub use crate::type_names::r4_type_name;

use crate::json::Json;

macro_rules! resource_types {
    ($($name:ident,)+) => {
        /// A FHIR R4 resource type that this server keeps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ResourceType {
            $(#[doc = concat!("FHIR R4 `", stringify!($name), "`.")] $name,)+
        }

        impl ResourceType {
            /// All types, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name as FHIR spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

resource_types! {
    AllergyIntolerance, Condition, DiagnosticReport, DocumentReference, Encounter, Immunization, MedicationRequest,
    Observation, Organization, Patient, Practitioner, Procedure,
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is none of the served resource types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this resource type is not served here; see rest.resource in the CapabilityStatement at /metadata")]
pub struct UnknownType;

impl FromStr for ResourceType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(UnknownType)
    }
}

/// What the text of a `Reference.reference` points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A resource of this server: `Type/id`, the same behind our base address, with or without `/_history/n`.
    Local(ResourceType, ResourceId),
    /// Relative, but no resource that this server can have: another type, or an id that is no UUID.
    Relative {
        /// The type's name.
        kind: &'a str,
        /// The id.
        id: &'a str,
    },
    /// `#id`: contained in the same resource.
    Contained(&'a str),
    /// `urn:uuid:` or `urn:oid:`: meaningful inside a bundle only.
    Urn(&'a str),
    /// `Type?query`: a search that finds the target, allowed in transactions only.
    Conditional(&'a str),
    /// Any other address, of another server for example.
    Elsewhere(&'a str),
}

impl<'a> Target<'a> {
    /// Reads a reference. `base` is our own base address without a slash at the end, for example
    /// `https://acme.example/fhir/R4`.
    #[must_use]
    pub fn read(text: &'a str, base: &str) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        if text.starts_with("urn:") {
            return Self::Urn(text);
        }
        let own =
            text.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')).filter(|_| !base.is_empty());
        let relative = own.unwrap_or(text);
        // Only before the query: in there a code system's address may stand as it is.
        if own.is_none() && text.split('?').next().is_some_and(|path| path.contains("://")) {
            return Self::Elsewhere(text);
        }
        if relative.split('/').next().is_some_and(|first| first.contains('?')) {
            return Self::Conditional(relative);
        }
        Self::relative(relative).unwrap_or(Self::Elsewhere(text))
    }

    fn relative(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let (kind, id) = (parts.next()?, parts.next()?);
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => {}
            (Some("_history"), Some(version), None) if !version.is_empty() => {}
            _ => return None,
        }
        if !kind.starts_with(|first: char| first.is_ascii_uppercase()) || id.is_empty() {
            return None;
        }
        match (kind.parse(), id.parse()) {
            (Ok(kind), Ok(id)) => Some(Self::Local(kind, id)),
            _ => Some(Self::Relative { kind, id }),
        }
    }
}

/// Whose chart a resource belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compartment {
    /// It is a patient: its own chart.
    Itself,
    /// The chart of this patient.
    Patient(ResourceId),
    /// No patient's: `Practitioner` and `Organization`.
    NoPatient,
}

/// A clinical resource without a patient of this server: a business rule, HTTP 422.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompartmentError {
    /// The element is missing.
    #[error("no patient is named; set {0}.reference to Patient/<id> of a patient on this server")]
    Missing(&'static str),
    /// The element points at something else: a group, a device, a location.
    #[error(
        "the subject is no patient; this server keeps records of single patients: set {0}.reference to Patient/<id>"
    )]
    NotAPatient(&'static str),
    /// The element points at a patient that is not on this server: logical, contained, elsewhere.
    #[error(
        "the patient is not on this server; create the patient first, then set {0}.reference to Patient/<id>"
    )]
    NotHere(&'static str),
}

impl CompartmentError {
    /// The element to mend, for `OperationOutcome.issue.expression`.
    #[must_use]
    pub const fn expression(&self) -> &'static str {
        match self {
            Self::Missing(element) | Self::NotAPatient(element) | Self::NotHere(element) => element,
        }
    }
}

impl ResourceType {
    /// The element that names the patient (R4 patient compartment); `None` for types that belong to no one patient.
    #[must_use]
    pub const fn patient_element(self) -> Option<&'static str> {
        match self {
            Self::Patient | Self::Practitioner | Self::Organization => None,
            Self::AllergyIntolerance | Self::Immunization => Some("patient"),
            _ => Some("subject"),
        }
    }
}

/// Whose chart this resource belongs to. `base` as for [`Target::read`].
///
/// # Errors
/// [`CompartmentError`] when it is a clinical resource that names no patient of this server. Whether the patient exists
/// is for the store to say.
pub fn compartment_patient(
    kind: ResourceType,
    document: &Json,
    base: &str,
) -> Result<Compartment, CompartmentError> {
    if kind == ResourceType::Patient {
        return Ok(Compartment::Itself);
    }
    let Some(element) = kind.patient_element() else { return Ok(Compartment::NoPatient) };
    let subject = document.get(element).ok_or(CompartmentError::Missing(element))?;
    let Some(text) = subject.text("reference") else { return Err(CompartmentError::NotHere(element)) };
    match Target::read(text, base) {
        Target::Local(ResourceType::Patient, id) => Ok(Compartment::Patient(id)),
        Target::Local(..) => Err(CompartmentError::NotAPatient(element)),
        Target::Relative { kind, .. } if kind != "Patient" => Err(CompartmentError::NotAPatient(element)),
        _ => Err(CompartmentError::NotHere(element)),
    }
}
