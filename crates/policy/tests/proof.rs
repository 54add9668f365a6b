//! The proof of the shipped policies, and that it fails where it must.

use std::{path::Path, sync::Arc};

use carekeep_policy::{
    ActivePolicy, Engine, PolicyError, PolicySource,
    prove::{ProofError, ProofReport, Property, prove},
};

const CVC5: &str = "/usr/bin/cvc5";

async fn proof(overlay: Option<&str>) -> ProofReport {
    prove(&PolicySource::shipped(), overlay, Path::new(CVC5)).await.unwrap()
}

fn violated(report: &ProofReport, property: Property) -> Vec<&str> {
    report.violations().iter().filter(|v| v.property == property).map(|v| &*v.policy).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn z1_the_shipped_policies_are_proven_for_every_request_environment() {
    let report = proof(None).await;
    println!("{report}");
    assert!(report.is_proven(), "{report}");
    assert!(report.environments() >= 40 && report.queries() > report.environments(), "{report}");
    for (id, _, reach) in report.invariants() {
        assert!(reach > 0, "{id} speaks about no request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn done_8_a_permit_for_everything_fails_with_a_concrete_request() {
    let report = proof(Some("permit(principal, action, resource);")).await;
    println!("{report}");
    assert!(!report.is_proven());
    let broken = violated(&report, Property::Invariant);
    for invariant in
        ["inv.operational_never_clinical", "inv.clinical_needs_relation", "inv.audit", "inv.visit_minimum"]
    {
        assert!(broken.contains(&invariant), "{invariant} should be violated: {report}");
    }
    // The platform's forbids still hold, so what they guard is still proven.
    for invariant in ["inv.cross_tenant", "inv.suspended", "inv.second_factor", "inv.fresh_factor"] {
        assert!(!broken.contains(&invariant), "{invariant}: {report}");
    }
    for violation in report.violations() {
        let example = violation.example.as_ref().expect("a concrete request");
        assert!(example.confirmed, "{violation:?}");
        assert!(example.policies.iter().any(|id| id.starts_with("overlay:1")), "{violation:?}");
        assert!(
            example.request.contains("principal Person::") && example.request.contains("context"),
            "{example}"
        );
    }
    assert!(
        report.faults().iter().any(|fault| fault.contains("overlay:1") && fault.contains("@id")),
        "{report}"
    );
}
