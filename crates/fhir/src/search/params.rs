//! The table of search parameters. It drives extraction, queries and the CapabilityStatement, so that none of them
//! promises what another does not keep.
//!
//! Numbers are stored beside every token: a number is never changed and never used again. New parameters get new numbers.

use carekeep_kernel::index::{ParamId, Scope};

use crate::types::ResourceType::{self, *};

/// The kinds of FHIR search parameters that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// Coded values and identifiers.
    Token,
    /// Names.
    String,
    /// Dates and moments.
    Date,
    /// Links to other resources.
    Reference,
}

impl ParamType {
    /// The code as FHIR spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::String => "string",
            Self::Date => "date",
            Self::Reference => "reference",
        }
    }
}

/// How a parameter is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// `_id`.
    Id,
    /// The chart: `patient`, `subject`.
    Chart,
    /// The clear status column. Holds the R4 code system of the status.
    Status(&'static str),
    /// The clear categories.
    Category,
    /// The clear event range.
    Event,
    /// The last change.
    LastUpdated,
    /// Tokens of coded values.
    Code(ParamId, Scope),
    /// Tokens of identifiers.
    Identifier(ParamId),
    /// Tokens of name parts.
    Name(ParamId),
    /// Tokens of contact points: phone, email, or (`telecom`) both and others.
    Telecom(TelecomKind),
    /// Tokens of a birth date at three precisions.
    Birthdate,
    /// Tokens of links to resources of the listed types.
    Link(ParamId, &'static [ResourceType]),
}

/// Which contact points a parameter finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelecomKind {
    /// Phone, fax, SMS, pager: digits only.
    Phone,
    /// E-mail, in lower case.
    Email,
    /// All of them.
    Any,
}

/// One search parameter of one type.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// The name in the query.
    pub name: &'static str,
    /// Which type of parameter R4 says it is.
    pub kind: ParamType,
    /// How it is looked up.
    pub lookup: Lookup,
    /// Where the values are: paths from the root, `.` between elements; arrays are walked. Empty where the lookup says it all.
    pub paths: &'static [&'static str],
}

/// `identifier`.
pub const IDENTIFIER: ParamId = ParamId(1);
/// `name`.
pub const NAME: ParamId = ParamId(2);
/// `family`.
pub const FAMILY: ParamId = ParamId(3);
/// `given`.
pub const GIVEN: ParamId = ParamId(4);
/// `birthdate`.
pub const BIRTHDATE: ParamId = ParamId(5);
/// `phone`.
pub const PHONE: ParamId = ParamId(6);
/// `email`.
pub const EMAIL: ParamId = ParamId(7);
/// `telecom` that is neither phone nor e-mail.
pub const TELECOM: ParamId = ParamId(8);
/// `code`, and `vaccine-code` of Immunization.
pub const CODE: ParamId = ParamId(9);
/// `type`.
pub const TYPE: ParamId = ParamId(10);
/// `clinical-status`.
pub const CLINICAL_STATUS: ParamId = ParamId(11);
/// `verification-status`.
pub const VERIFICATION_STATUS: ParamId = ParamId(12);
/// `encounter`.
pub const ENCOUNTER: ParamId = ParamId(13);
/// `class` of Encounter.
pub const CLASS: ParamId = ParamId(14);
/// `performer`.
pub const PERFORMER: ParamId = ParamId(15);
/// `requester`.
pub const REQUESTER: ParamId = ParamId(16);
/// `participant` of Encounter.
pub const PARTICIPANT: ParamId = ParamId(17);
/// `author` of DocumentReference.
pub const AUTHOR: ParamId = ParamId(18);
/// `intent` of MedicationRequest.
pub const INTENT: ParamId = ParamId(19);
/// `result` of DiagnosticReport.
pub const RESULT: ParamId = ParamId(20);
/// `value-concept` of Observation.
pub const VALUE_CONCEPT: ParamId = ParamId(21);
/// `reason-code` of Encounter, Procedure, Immunization.
pub const REASON_CODE: ParamId = ParamId(22);
/// `recorder` of Condition and AllergyIntolerance.
pub const RECORDER: ParamId = ParamId(23);

/// `category`, where its system is not one that may stand in the clear.
pub const CATEGORY_CODE: ParamId = ParamId(24);

const fn param(name: &'static str, kind: ParamType, lookup: Lookup, paths: &'static [&'static str]) -> Param {
    Param { name, kind, lookup, paths }
}

const fn code(name: &'static str, id: ParamId, paths: &'static [&'static str]) -> Param {
    param(name, ParamType::Token, Lookup::Code(id, Scope::Patient), paths)
}

const fn link(
    name: &'static str,
    id: ParamId,
    targets: &'static [ResourceType],
    paths: &'static [&'static str],
) -> Param {
    param(name, ParamType::Reference, Lookup::Link(id, targets), paths)
}

const fn event(name: &'static str, paths: &'static [&'static str]) -> Param {
    param(name, ParamType::Date, Lookup::Event, paths)
}

const fn status(system: &'static str) -> Param {
    param("status", ParamType::Token, Lookup::Status(system), &["status"])
}

const CATEGORY: Param = param("category", ParamType::Token, Lookup::Category, &["category"]);
const IDENTIFIERS: Param =
    param("identifier", ParamType::Token, Lookup::Identifier(IDENTIFIER), &["identifier"]);
const SUBJECT: Param = param("subject", ParamType::Reference, Lookup::Chart, &["subject"]);
const PATIENT_BY_SUBJECT: Param = param("patient", ParamType::Reference, Lookup::Chart, &["subject"]);
const PATIENT_BY_PATIENT: Param = param("patient", ParamType::Reference, Lookup::Chart, &["patient"]);
const ENCOUNTERS: Param = link("encounter", ENCOUNTER, &[Encounter], &["encounter"]);
const PHONES: Param = param("phone", ParamType::Token, Lookup::Telecom(TelecomKind::Phone), &["telecom"]);
const EMAILS: Param = param("email", ParamType::Token, Lookup::Telecom(TelecomKind::Email), &["telecom"]);
const TELECOMS: Param = param("telecom", ParamType::Token, Lookup::Telecom(TelecomKind::Any), &["telecom"]);
const FAMILIES: Param = param("family", ParamType::String, Lookup::Name(FAMILY), &["name.family"]);
const GIVENS: Param = param("given", ParamType::String, Lookup::Name(GIVEN), &["name.given"]);
const NAMES: Param = param(
    "name",
    ParamType::String,
    Lookup::Name(NAME),
    &["name.text", "name.family", "name.given", "name.prefix", "name.suffix"],
);
const STAFF: &[ResourceType] = &[Practitioner, Organization, Patient];

/// The parameters that every type has.
pub const COMMON: &[Param] = &[
    param("_id", ParamType::Token, Lookup::Id, &["id"]),
    param("_lastUpdated", ParamType::Date, Lookup::LastUpdated, &["meta.lastUpdated"]),
];

/// Parameters that R4 has and this server refuses: few different values, so tokens would show who is who (BARS K7).
pub const LOW_CARDINALITY: &[&str] = &["gender", "active", "deceased", "language", "address-use"];

/// The parameters of a type, besides [`COMMON`].
#[must_use]
pub const fn of(kind: ResourceType) -> &'static [Param] {
    match kind {
        Patient => PATIENT,
        Practitioner => PRACTITIONER,
        Organization => ORGANIZATION,
        Encounter => ENCOUNTER_PARAMS,
        Condition => CONDITION,
        AllergyIntolerance => ALLERGY_INTOLERANCE,
        MedicationRequest => MEDICATION_REQUEST,
        Observation => OBSERVATION,
        DiagnosticReport => DIAGNOSTIC_REPORT,
        Immunization => IMMUNIZATION,
        Procedure => PROCEDURE,
        DocumentReference => DOCUMENT_REFERENCE,
    }
}

/// The parameter of a type by its name.
#[must_use]
pub fn find(kind: ResourceType, name: &str) -> Option<&'static Param> {
    COMMON.iter().chain(of(kind)).find(|param| param.name == name)
}

/// The date parameter that looks at the event of a type.
#[must_use]
pub fn event_param(kind: ResourceType) -> Option<&'static Param> {
    of(kind).iter().find(|param| param.lookup == Lookup::Event)
}

const PATIENT: &[Param] = &[
    IDENTIFIERS,
    NAMES,
    FAMILIES,
    GIVENS,
    param("birthdate", ParamType::Date, Lookup::Birthdate, &["birthDate"]),
    PHONES,
    EMAILS,
    TELECOMS,
];
const PRACTITIONER: &[Param] = &[IDENTIFIERS, NAMES, FAMILIES, GIVENS, PHONES, EMAILS, TELECOMS];
const ORGANIZATION: &[Param] =
    &[IDENTIFIERS, param("name", ParamType::String, Lookup::Name(NAME), &["name", "alias"])];
const ENCOUNTER_PARAMS: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    status("http://hl7.org/fhir/encounter-status"),
    event("date", &["period"]),
    code("class", CLASS, &["class"]),
    code("type", TYPE, &["type"]),
    code("reason-code", REASON_CODE, &["reasonCode"]),
    link("participant", PARTICIPANT, &[Practitioner], &["participant.individual"]),
];
const CONDITION: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    CATEGORY,
    code("code", CODE, &["code"]),
    code("clinical-status", CLINICAL_STATUS, &["clinicalStatus"]),
    code("verification-status", VERIFICATION_STATUS, &["verificationStatus"]),
    event("recorded-date", &["recordedDate"]),
    ENCOUNTERS,
];
const ALLERGY_INTOLERANCE: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_PATIENT,
    // AllergyIntolerance.category is a list of codes without system.
    CATEGORY,
    code("code", CODE, &["code", "reaction.substance"]),
    code("clinical-status", CLINICAL_STATUS, &["clinicalStatus"]),
    code("verification-status", VERIFICATION_STATUS, &["verificationStatus"]),
    event("date", &["recordedDate"]),
    link("recorder", RECORDER, &[Practitioner, Patient], &["recorder"]),
];
const MEDICATION_REQUEST: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    status("http://hl7.org/fhir/CodeSystem/medicationrequest-status"),
    CATEGORY,
    event("authoredon", &["authoredOn"]),
    code("code", CODE, &["medicationCodeableConcept"]),
    code("intent", INTENT, &["intent"]),
    ENCOUNTERS,
    link("requester", REQUESTER, STAFF, &["requester"]),
];
const OBSERVATION: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    status("http://hl7.org/fhir/observation-status"),
    CATEGORY,
    event("date", &["effectiveDateTime", "effectivePeriod", "effectiveInstant"]),
    code("code", CODE, &["code"]),
    code("value-concept", VALUE_CONCEPT, &["valueCodeableConcept"]),
    ENCOUNTERS,
    link("performer", PERFORMER, STAFF, &["performer"]),
];
const DIAGNOSTIC_REPORT: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    status("http://hl7.org/fhir/diagnostic-report-status"),
    CATEGORY,
    event("date", &["effectiveDateTime", "effectivePeriod"]),
    code("code", CODE, &["code"]),
    ENCOUNTERS,
    link("performer", PERFORMER, &[Practitioner, Organization], &["performer"]),
    link("result", RESULT, &[Observation], &["result"]),
];
const IMMUNIZATION: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_PATIENT,
    status("http://hl7.org/fhir/event-status"),
    event("date", &["occurrenceDateTime"]),
    code("vaccine-code", CODE, &["vaccineCode"]),
    code("reason-code", REASON_CODE, &["reasonCode"]),
    link("performer", PERFORMER, &[Practitioner, Organization], &["performer.actor"]),
];
const PROCEDURE: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    status("http://hl7.org/fhir/event-status"),
    CATEGORY,
    event("date", &["performedDateTime", "performedPeriod"]),
    code("code", CODE, &["code"]),
    code("reason-code", REASON_CODE, &["reasonCode"]),
    ENCOUNTERS,
    link("performer", PERFORMER, STAFF, &["performer.actor"]),
];
const DOCUMENT_REFERENCE: &[Param] = &[
    IDENTIFIERS,
    PATIENT_BY_SUBJECT,
    SUBJECT,
    status("http://hl7.org/fhir/document-reference-status"),
    CATEGORY,
    event("date", &["date"]),
    code("type", TYPE, &["type"]),
    link("encounter", ENCOUNTER, &[Encounter], &["context.encounter"]),
    link("author", AUTHOR, STAFF, &["author"]),
];
