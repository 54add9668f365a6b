//! Single promises of the shipped policies, each refusal beside the same request that is allowed.

use crate::common::{Ask, engine, person, resource_id, tenant};
use carekeep_policy::{
    Aal, AccessRequest, Action, Decision, DenyReason, Engine, Outcome, PolicyError, PolicySource, Projection,
    Purpose, ResourceKind, Role, RoleSet,
};

/// A clinician on the care team who reads an observation: allowed.
fn chart_read() -> Ask {
    Ask::new(Role::Clinician, Action::Read, ResourceKind::Observation).related()
}

#[track_caller]
fn refused(engine: &Engine, control: Ask, change: impl FnOnce(&mut Ask), reason: DenyReason) {
    assert!(control.decide(engine).is_allow(), "control: {}", engine.explain(&control.request()));
    let ask = control.change(change);
    let decision = ask.decide(engine);
    assert_eq!(decision.reason(), Some(reason), "{}", engine.explain(&ask.request()));
}

#[test]
fn p1_a_clinician_reads_the_chart_of_a_patient_in_their_care_and_the_policy_is_named() {
    let Decision::Allow { projection, policies } = chart_read().decide(&engine()) else { panic!("refused") };
    assert_eq!(projection, Projection::Full);
    assert_eq!(policies.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["clinician.chart"]);
}

#[test]
fn p1_without_a_relation_there_is_no_chart() {
    refused(&engine(), chart_read(), |ask| ask.resource.relation.care_team = false, DenyReason::NoPermit);
}

#[test]
fn z1_cross_tenant_is_forbidden() {
    refused(&engine(), chart_read(), |ask| ask.resource.tenant = tenant(2), DenyReason::Forbidden);
}

#[test]
fn z1_suspended_person_is_refused_and_told() {
    refused(&engine(), chart_read(), |ask| ask.principal.suspended = true, DenyReason::Suspended);
}

#[test]
fn z1_inactive_tenant_is_refused() {
    refused(&engine(), chart_read(), |ask| ask.context.tenant_active = false, DenyReason::Forbidden);
}

#[test]
fn z1_one_factor_is_not_enough_for_phi_and_the_person_is_told_what_helps() {
    refused(&engine(), chart_read(), |ask| ask.context.aal = Aal::One, DenyReason::NeedsSecondFactor);
}

#[test]
fn a_second_factor_is_not_asked_for_where_it_would_not_help() {
    let stranger = chart_read().change(|ask| {
        ask.context.aal = Aal::One;
        ask.resource.relation.care_team = false;
    });
    assert_eq!(stranger.decide(&engine()).reason(), Some(DenyReason::NoPermit));
}

#[test]
fn one_factor_is_enough_for_the_directory() {
    let ask = Ask::new(Role::Reception, Action::Read, ResourceKind::Practitioner);
    assert!(ask.change(|ask| ask.context.aal = Aal::One).decide(&engine()).is_allow());
}

#[test]
fn the_wrong_purpose_is_refused() {
    refused(&engine(), chart_read(), |ask| ask.context.purpose = Purpose::Operations, DenyReason::NoPermit);
    refused(
        &engine(),
        chart_read(),
        |ask| ask.context.purpose = Purpose::BreakTheGlass,
        DenyReason::NoPermit,
    );
}

#[test]
fn granting_a_role_needs_a_fresh_factor_and_another_person() {
    let grant = Ask::new(Role::TenantAdmin, Action::GrantRole, ResourceKind::Account);
    refused(&engine(), grant, |ask| ask.context.factor_age_seconds = 300, DenyReason::NeedsFreshFactor);
    let own = carekeep_kernel::ResourceId::from_uuid(person(1).as_uuid());
    refused(&engine(), grant, |ask| ask.resource.id = Some(own), DenyReason::Forbidden);
}

#[test]
fn a_patient_reads_their_own_chart_only() {
    let own = Ask::new(Role::Patient, Action::Read, ResourceKind::Condition)
        .change(|ask| ask.principal.patient = Some(resource_id(1)));
    refused(&engine(), own, |ask| ask.principal.patient = Some(resource_id(2)), DenyReason::NoPermit);
    refused(&engine(), own, |ask| ask.resource.patient = Some(resource_id(2)), DenyReason::NoPermit);
    refused(&engine(), own, |ask| ask.principal.patient = None, DenyReason::NoPermit);
}

#[test]
fn no_id_of_one_kind_passes_for_an_id_of_another() {
    // The chart id of a patient is compared with the *patient* of the row, never with the id of the row.
    let ask = Ask::new(Role::Patient, Action::Read, ResourceKind::Observation).change(|ask| {
        ask.principal.patient = Some(resource_id(9));
        ask.resource.id = Some(resource_id(9));
    });
    assert_eq!(ask.decide(&engine()).reason(), Some(DenyReason::NoPermit));
}

#[test]
fn a_search_over_many_patients_is_permission_to_ask() {
    let engine = engine();
    let search = Ask::new(Role::Nurse, Action::Search, ResourceKind::Patient).change(|ask| {
        ask.resource.id = None;
        ask.resource.patient = None;
    });
    assert!(search.decide(&engine).is_allow());
    let read = search.change(|ask| ask.action = Action::Read);
    assert_eq!(read.decide(&engine).reason(), Some(DenyReason::NoPermit));
}

#[test]
fn the_widest_projection_counts_for_somebody_with_two_roles() {
    let both = Ask::new(Role::Reception, Action::Read, ResourceKind::Patient).related();
    assert_eq!(both.decide(&engine()).projection(), Some(Projection::Contact));
    let both = both.change(|ask| ask.principal.roles = ask.principal.roles.with(Role::Clinician));
    // The front desk's purpose: still contact data. Treatment: the chart.
    assert_eq!(both.decide(&engine()).projection(), Some(Projection::Contact));
    let both = both.change(|ask| ask.context.purpose = Purpose::Treatment);
    assert_eq!(both.decide(&engine()).projection(), Some(Projection::Full));
}

#[test]
fn the_widest_of_two_satisfied_permits_counts() {
    let overlay = r#"@id("t.full") @description("d") @projection("full")
        permit (principal in Role::"reception", action == Action::"read", resource is Patient);"#;
    let engine = Engine::compile(&PolicySource::shipped(), Some(overlay)).unwrap();
    let decision = Ask::new(Role::Reception, Action::Read, ResourceKind::Patient).decide(&engine);
    assert_eq!(decision.to_string(), "allow(full) by reception.contact, t.full");
}

#[test]
fn p3_operational_roles_may_never_touch_clinical_kinds_and_that_is_known_without_a_row() {
    let engine = engine();
    let operational = [
        Role::Reception,
        Role::Billing,
        Role::ClinicManager,
        Role::TenantAdmin,
        Role::PrivacyOfficer,
        Role::Auditor,
        Role::Support,
    ];
    for &action in Action::ALL {
        for role in operational {
            assert!(!engine.may_ever(role.into(), action, ResourceKind::Condition), "{role} {action}");
        }
        assert!(!engine.may_ever(RoleSet::EMPTY, action, ResourceKind::Condition));
    }
    assert!(engine.may_ever(Role::Clinician.into(), Action::Read, ResourceKind::Condition));
    assert!(engine.may_ever(Role::Reception.into(), Action::Read, ResourceKind::Patient));
}

#[test]
fn p4_what_roles_could_ever_be_shown_is_known_without_a_row() {
    let engine = engine();
    let shown = |roles: RoleSet, action, kind| -> Vec<Projection> {
        let could = |projection: &&Projection| {
            engine.may_ever_show(roles, action, kind, std::slice::from_ref(*projection))
        };
        Projection::ALL.iter().filter(could).copied().collect()
    };
    let (read, search, encounter) = (Action::Read, Action::Search, ResourceKind::Encounter);
    assert_eq!(shown(Role::ClinicManager.into(), read, encounter), [Projection::Schedule]);
    assert_eq!(shown(Role::ServiceAccount.into(), search, encounter), [Projection::Metadata]);
    assert_eq!(shown(Role::Clinician.into(), read, encounter), [Projection::Full]);
    assert_eq!(shown(Role::Reception.into(), read, encounter), []);
    let both = RoleSet::of(Role::Billing).union(Role::Nurse.into());
    assert_eq!(shown(both, read, encounter), [Projection::Schedule, Projection::Full]);
    assert!(!engine.may_ever_show(RoleSet::ALL, read, encounter, &[]));
}

#[test]
fn a_failing_policy_refuses_even_where_cedar_would_allow() {
    // Overflow is the one error that strict validation cannot exclude.
    let overlay = r#"@id("t.bad") @description("fails") forbid (principal, action, resource)
        when { context.factorAge * 9223372036854775807 * context.aal > 1 };"#;
    let engine = Engine::compile(&PolicySource::shipped(), Some(overlay)).unwrap();
    let ask = chart_read();
    let decision = ask.decide(&engine);
    assert_eq!(decision.to_string(), "deny(evaluation_error) by t.bad");
    assert_eq!(decision, engine.decide_unsliced(&ask.request()));
    // The control: the same policy where it does not fail leaves the decision as it is.
    let calm = ask.change(|ask| ask.context.factor_age_seconds = 0);
    assert!(calm.decide(&engine).is_allow());
}

#[test]
fn an_explanation_tells_which_policy_holds() {
    let engine = engine();
    let ask = chart_read();
    let explanation = engine.explain(&ask.request());
    let outcome = |id: &str| explanation.verdicts.iter().find(|v| &*v.policy == id).unwrap().outcome;
    assert_eq!(outcome("clinician.chart"), Outcome::Satisfied);
    assert_eq!(outcome("platform.suspended"), Outcome::NotSatisfied);
    assert_eq!(outcome("reception.contact"), Outcome::OutOfScope);
    assert_eq!(explanation.decision, ask.decide(&engine));
    assert!(explanation.to_string().contains("permit clinician.chart: HOLDS"), "{explanation}");
}

#[test]
fn the_digest_changes_with_the_policies_and_only_then() {
    let source = PolicySource::shipped();
    let compile = |overlay| Engine::compile(&source, overlay).unwrap().digest();
    assert_eq!(compile(None), compile(None));
    assert_ne!(compile(None), compile(Some("")));
    assert_ne!(compile(Some("")), compile(Some("// a comment")));
}

#[track_caller]
fn overlay_refused(overlay: &str, place: &str, says: &str) {
    let error: PolicyError = Engine::compile(&PolicySource::shipped(), Some(overlay)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(place) && text.contains(says), "{text}");
}

#[test]
fn policies_that_are_not_clear_are_refused_with_their_place() {
    let good = "@id(\"t.a\")\n@description(\"d\")\n@projection(\"metadata\")\npermit (principal in Role::\"nurse\", action == \
                Action::\"read\", resource is Tenant);\n";
    assert!(Engine::compile(&PolicySource::shipped(), Some(good)).is_ok());
    overlay_refused("\n\npermit (principal, action, resource);", "overlay:3", "@id");
    overlay_refused(&good.replace("metadata", "everything"), "overlay:1", "unknown projection");
    overlay_refused(&good.replace("@projection(\"metadata\")\n", ""), "overlay:1", "@projection");
    overlay_refused(&good.replace("@description(\"d\")\n", ""), "overlay:1", "@description");
    overlay_refused(&good.replace("@projection", "@projektion"), "overlay:1", "@projektion means nothing");
    overlay_refused(&good.replace("Role::\"nurse\"", "Role::\"nurze\""), "overlay:1", "nurze");
    overlay_refused(&good.replace("Action::\"read\"", "Action::\"raed\""), "overlay:1", "raed");
    overlay_refused(&good.replace(";", " when { resource.sesame };"), "overlay:1", "sesame");
    overlay_refused(&good.replace(";", " when { context.aal == \"2\" };"), "overlay:1", "t.a");
    overlay_refused(&good.replace(";", " when { 1 == 2 };"), "overlay:1", "t.a");
    overlay_refused(
        &good.replace("t.a", "clinician.chart"),
        "overlay:1",
        "already taken at base/clinician.cedar",
    );
    overlay_refused(&format!("{good}{good}"), "overlay:5", "already taken at overlay:1");
    overlay_refused(&format!("{good}permit (principal"), "overlay:5", "not a Cedar policy");
}

#[test]
fn every_request_that_is_built_conforms_to_the_schema() {
    let engine = engine();
    let mut checked = 0;
    for &action in Action::ALL {
        for &kind in ResourceKind::ALL {
            for (patient, id) in [(false, false), (true, false), (true, true), (false, true)] {
                let ask = Ask::new(Role::Nurse, action, kind).change(|ask| {
                    ask.principal.patient = patient.then(|| resource_id(1));
                    ask.resource.patient = patient.then(|| resource_id(1));
                    ask.resource.id = id.then(|| resource_id(2));
                });
                let request: AccessRequest<'_> = ask.request();
                // An action on a kind that it is not for does not conform, and is refused.
                if engine.conforms(&request) {
                    checked += 1;
                } else {
                    assert!(!engine.may_ever(RoleSet::ALL, action, kind), "{action} {kind}");
                    let everybody = ask.change(|ask| ask.principal.roles = RoleSet::ALL);
                    assert!(!everybody.decide(&engine).is_allow(), "{action} {kind}");
                }
            }
        }
    }
    assert!(checked > 4 * 7 * 12, "only {checked} requests conform");
}

#[test]
fn i12_an_identity_provider_gives_and_takes_the_roles_that_are_called_provisionable_and_no_other() {
    let engine = engine();
    for &role in Role::ALL {
        let ask = Ask::new(Role::Provisioner, Action::ProvisionRole, ResourceKind::Account);
        let decision = ask.change(|ask| ask.resource.account.role = Some(role)).decide(&engine);
        assert_eq!(decision.projection().is_some(), role.is_provisionable(), "{role}: {decision}");
    }
}
