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

#[tokio::test(flavor = "multi_thread")]
async fn without_the_platforms_forbids_exactly_their_invariants_fall() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let dir = tempfile::tempdir().unwrap();
    for folder in ["base", "invariants"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        for file in std::fs::read_dir(shipped.join(folder)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(folder).join(file.file_name())).unwrap();
        }
    }
    std::fs::copy(shipped.join("schema.cedarschema"), dir.path().join("schema.cedarschema")).unwrap();
    std::fs::write(dir.path().join("base/platform.cedar"), "// nothing\n").unwrap();
    let source = PolicySource::load(dir.path()).unwrap();
    let report = prove(&source, None, Path::new(CVC5)).await.unwrap();
    let mut broken = violated(&report, Property::Invariant);
    broken.sort_unstable();
    assert_eq!(
        broken,
        [
            "inv.beyond_clinics",
            "inv.beyond_clinics_provisioning",
            "inv.clinic_roles",
            "inv.clinics",
            "inv.cross_tenant",
            "inv.fresh_factor",
            "inv.inactive_tenant",
            "inv.operator_roles",
            "inv.operators_no_phi",
            "inv.own_role",
            "inv.provisioned_last",
            "inv.provisioned_outside",
            "inv.provisioned_own_role",
            "inv.provisioned_role",
            "inv.provisioner_administration",
            "inv.provisioner_elsewhere",
            "inv.provisioner_health_data",
            "inv.reader_by_privacy_officer",
            "inv.reader_for_programs",
            "inv.reader_is_a_program",
            "inv.second_factor",
            "inv.second_factor_administration",
            "inv.second_factor_writes",
            "inv.suspended",
        ],
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_can_fail_and_one_that_never_takes_effect_are_found() {
    let overlay = r#"
        @id("t.overflow") @description("d") forbid (principal, action == Action::"read", resource is Tenant)
        when { context.aal + context.factorAge < 0 };
        @id("t.idle") @description("d") @projection("metadata")
        permit (principal in Role::"auditor", action == Action::"read", resource is Tenant)
        when { context.aal == 1 };
    "#;
    let report = proof(Some(overlay)).await;
    assert_eq!(violated(&report, Property::NeverFails), ["t.overflow"], "{report}");
    assert_eq!(violated(&report, Property::TakesEffect), ["t.idle"], "{report}");
    assert_eq!(violated(&report, Property::Invariant), [""; 0], "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn z5_showing_more_than_the_least_is_a_violation_and_showing_that_is_not() {
    let overlay = |projection: &str| {
        format!(
            "@id(\"t.visits\") @description(\"d\") @projection(\"{projection}\") permit (principal in Role::\"reception\", \
             action == Action::\"read\", resource is Encounter) when {{ context.purpose == Purpose::\"HOPERAT\" }};"
        )
    };
    let report = proof(Some(&overlay("schedule"))).await;
    assert!(report.is_proven(), "{report}");
    let report = proof(Some(&overlay("contact"))).await;
    assert!(violated(&report, Property::Invariant).contains(&"inv.visit_minimum"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_an_overlay_goes_live_only_with_a_proof_about_exactly_itself() {
    let source = PolicySource::shipped();
    let good = r#"@id("t.support") @description("d") @projection("metadata")
        permit (principal in Role::"auditor", action == Action::"read", resource is Tenant);"#;
    let bad = r#"@id("t.bad") @description("d") @projection("full")
        permit (principal in Role::"reception", action == Action::"read", resource is ClinicalRecord);"#;
    let compile = |overlay| Arc::new(Engine::compile(&source, overlay).unwrap());
    let (base, good_engine, bad_engine) = (compile(None), compile(Some(good)), compile(Some(bad)));
    assert!(matches!(ActivePolicy::new(Arc::clone(&good_engine)), Err(PolicyError::Unproven)));
    let active = ActivePolicy::new(Arc::clone(&base)).unwrap();
    let (good_proof, bad_proof) = (proof(Some(good)).await, proof(Some(bad)).await);
    assert!(matches!(active.replace(Arc::clone(&bad_engine), &bad_proof), Err(PolicyError::Unproven)));
    assert!(matches!(active.replace(bad_engine, &good_proof), Err(PolicyError::Unproven)));
    assert_eq!(active.load().digest(), base.digest());
    active.replace(Arc::clone(&good_engine), &good_proof).unwrap();
    assert_eq!(active.load().digest(), good_engine.digest());
}

#[tokio::test]
async fn without_a_solver_nothing_is_proven() {
    let source = PolicySource::shipped();
    let missing = prove(&source, None, Path::new("/nonexistent/cvc5")).await.unwrap_err();
    assert!(matches!(&missing, ProofError::NoSolver { .. }), "{missing}");
    // A program that says nothing, and one that says nonsense.
    for other in ["/bin/true", "/bin/cat"] {
        let mute = prove(&source, None, Path::new(other)).await;
        assert!(mute.is_err(), "{other}: {mute:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i11_a_tenant_cannot_widen_what_programs_do() {
    let widened = |role: &str| {
        let permit = |id: &str, rest: &str| {
            let head = format!("@id(\"{id}\") @description(\"d\") @projection(\"full\")");
            format!("{head} permit (principal in Role::\"{role}\", {rest};")
        };
        let reads = "action == Action::\"read\", resource is ClinicalRecord) when { resource has patient }";
        let deletes = "action == Action::\"delete\", resource is Encounter)";
        let people = "action == Action::\"list_people\", resource)";
        [permit("t.reads", reads), permit("t.deletes", deletes), permit("t.people", people)].join("\n")
    };
    for (role, invariants) in [
        ("service_account", &["inv.program_reads", "inv.program_reach", "inv.clinical_needs_relation"][..]),
        ("records_reader", &["inv.reader_is_a_program", "inv.program_reach", "inv.clinical_needs_relation"]),
    ] {
        let report = proof(Some(&widened(role))).await;
        let broken = violated(&report, Property::Invariant);
        for invariant in invariants {
            assert!(broken.contains(invariant), "{role}: {invariant}: {report}");
        }
    }
    // Who decides stays as it is, whatever a tenant permits: the platform forbids it.
    let decides = r#"@id("t.decides") @description("d") @projection("full")
        permit (principal in Role::"tenant_admin", action == Action::"approve_role", resource is Account);"#;
    let report = proof(Some(decides)).await;
    assert!(report.is_proven(), "{report}");
}
