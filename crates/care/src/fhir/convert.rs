//! Between the words of FHIR and those of the vault.

use carekeep_fhir::{
    search::{CategoryMatch, ClearFilter as FhirFilter, DateMatch, Prefix, SearchPlan, SortKey},
    types::ResourceType,
};
use carekeep_policy::ResourceKind;
use carekeep_vault::{ClearFilter, Comparison, Cursor, OrderBy, RecordQuery, Span};
use data_encoding::BASE64URL_NOPAD;

use super::FhirError;

/// The policy's word for a FHIR type.
pub(super) const fn kind_of(kind: ResourceType) -> ResourceKind {
    match kind {
        ResourceType::Patient => ResourceKind::Patient,
        ResourceType::Practitioner => ResourceKind::Practitioner,
        ResourceType::Organization => ResourceKind::Organization,
        ResourceType::Encounter => ResourceKind::Encounter,
        ResourceType::Condition => ResourceKind::Condition,
        ResourceType::AllergyIntolerance => ResourceKind::AllergyIntolerance,
        ResourceType::MedicationRequest => ResourceKind::MedicationRequest,
        ResourceType::Observation => ResourceKind::Observation,
        ResourceType::DiagnosticReport => ResourceKind::DiagnosticReport,
        ResourceType::Immunization => ResourceKind::Immunization,
        ResourceType::Procedure => ResourceKind::Procedure,
        ResourceType::DocumentReference => ResourceKind::DocumentReference,
    }
}

/// A FHIR search as the vault runs it. `asked` is the query text for the audit.
pub(super) fn query_of(plan: &SearchPlan, asked: String) -> Result<RecordQuery, FhirError> {
    Ok(RecordQuery {
        kind: kind_of(plan.kind),
        ids: plan.ids.clone(),
        patients: plan.patient.clone(),
        clear: plan.clear.iter().map(filter).collect(),
        terms: plan.terms.clone(),
        order: match plan.sort.key {
            SortKey::LastUpdated => OrderBy::LastUpdated,
            SortKey::Event => OrderBy::Event,
        },
        descending: plan.sort.descending,
        count: u32::from(plan.count),
        after: plan.cursor.as_deref().map(cursor).transpose()?,
        asked,
    })
}

fn filter(filter: &FhirFilter) -> ClearFilter {
    match filter {
        FhirFilter::Status(values) => ClearFilter::Status(values.clone()),
        FhirFilter::Event(dates) => ClearFilter::Event(dates.iter().map(span).collect()),
        FhirFilter::LastUpdated(dates) => ClearFilter::LastUpdated(dates.iter().map(span).collect()),
        FhirFilter::Category(any) => {
            let (mut exact, mut codes) = (Vec::new(), Vec::new());
            for category in any {
                match category {
                    CategoryMatch::Exact(text) => exact.push(text.clone()),
                    CategoryMatch::Code(code) => codes.push(format!("|{code}")),
                }
            }
            ClearFilter::Category { exact, codes }
        }
    }
}

fn span(date: &DateMatch) -> Span {
    let comparison = match date.prefix {
        Prefix::Eq => Comparison::Eq,
        Prefix::Ne => Comparison::Ne,
        Prefix::Lt => Comparison::Lt,
        Prefix::Gt => Comparison::Gt,
        Prefix::Le => Comparison::Le,
        Prefix::Ge => Comparison::Ge,
        Prefix::Sa => Comparison::Sa,
        Prefix::Eb => Comparison::Eb,
    };
    Span { comparison, start: date.start, end: date.end }
}

/// A cursor as text: 24 bytes in base64url. It holds an order key and an id, both of which the reader has seen.
pub(super) fn cursor_text(cursor: &Cursor) -> String {
    let mut bytes = [0_u8; 24];
    bytes[..8].copy_from_slice(&cursor.key.to_be_bytes());
    bytes[8..].copy_from_slice(cursor.id.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

fn cursor(text: &str) -> Result<Cursor, FhirError> {
    let malformed = FhirError::Mismatch("the _cursor is not one that was given out: start the search again");
    let Some(bytes) = BASE64URL_NOPAD.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == 24) else {
        return Err(malformed);
    };
    let (key, id) = bytes.split_at(8);
    match (<[u8; 8]>::try_from(key), <[u8; 16]>::try_from(id)) {
        (Ok(key), Ok(id)) => Ok(Cursor { key: i64::from_be_bytes(key), id: id_of(id) }),
        _ => Err(malformed),
    }
}

fn id_of(bytes: [u8; 16]) -> carekeep_kernel::ResourceId {
    carekeep_kernel::ResourceId::from_uuid(uuid::Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_rubbish_does_not() {
        let given = Cursor { key: -5, id: id_of([7; 16]) };
        assert_eq!(cursor(&cursor_text(&given)).ok(), Some(given));
        for bad in ["", "AAAA", "%%%", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(cursor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_fhir_type_is_known_to_policy_by_the_same_name() {
        for kind in ResourceType::ALL {
            assert_eq!(kind.as_str(), kind_of(*kind).as_str());
        }
    }
}
