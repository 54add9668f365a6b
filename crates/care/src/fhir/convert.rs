//! Between the words of FHIR and those of the vault.

use carekeep_fhir::{
    project,
    search::{CategoryMatch, ClearFilter as FhirFilter, DateMatch, Prefix, SearchPlan, SortKey},
    types::ResourceType,
};
use carekeep_policy::{Projection, ResourceKind};
use carekeep_vault::{ClearFilter, Comparison, OrderBy, RecordQuery, Span};

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

/// A FHIR search as the vault runs it, from its beginning. `asked` is the query text for the audit.
pub(super) fn query_of(plan: &SearchPlan, asked: String) -> RecordQuery {
    RecordQuery {
        kind: kind_of(plan.kind),
        ids: plan.ids.clone(),
        patients: plan.patient.clone(),
        clear: plan.clear.iter().map(filter).collect(),
        terms: plan.terms.clone(),
        shown_by: plan.shown_by.iter().copied().map(policy_projection).collect(),
        order: match plan.sort.key {
            SortKey::LastUpdated => OrderBy::LastUpdated,
            SortKey::Event => OrderBy::Event,
        },
        descending: plan.sort.descending,
        count: u32::from(plan.count),
        after: None,
        asked,
    }
}

const fn policy_projection(projection: project::Projection) -> Projection {
    match projection {
        project::Projection::Full => Projection::Full,
        project::Projection::Contact => Projection::Contact,
        project::Projection::Schedule => Projection::Schedule,
        project::Projection::Metadata => Projection::Metadata,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::write::fhir_projection;

    #[test]
    fn every_fhir_type_is_known_to_policy_by_the_same_name() {
        for kind in ResourceType::ALL {
            assert_eq!(kind.as_str(), kind_of(*kind).as_str());
        }
    }

    #[test]
    fn projections_there_and_back_are_the_same() {
        for projection in Projection::ALL {
            assert_eq!(policy_projection(fhir_projection(*projection)), *projection);
        }
        assert_eq!(Projection::ALL.len(), project::Projection::ALL.len());
    }
}
