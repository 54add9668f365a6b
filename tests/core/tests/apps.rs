//! I11, BARS I7: what an app's token opens. Scopes narrow what policy gives the person, row by row, on every way to a row.

use std::{sync::Arc, time::Duration};

use carekeep_kernel::{ManualClock, ResourceId, Timestamp};
use carekeep_ledger::Outcome;
use carekeep_policy::{ResourceKind, Role};
use carekeep_testkit::{AppSpec, AppToken, Person, PersonSpec, Platform};
use carekeep_vault::{
    AccessError, Caller, ClearFilter, Draft, Planned, Vault,
    catalogue::{InvitePatient, ListPeople, ManageTenant, Read, Update},
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use tokio::time::Instant;

use crate::support::{
    as_superuser, draft, entries, history, named, query, read, search, version_read, write,
};

struct Ward {
    platform: Platform,
    vault: Arc<Vault>,
    ann: Person,
    caller: Caller,
    own: ResourceId,
    other: ResourceId,
    conditions: [ResourceId; 2],
}

async fn ward() -> Ward {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let (own, first) = chart(&platform, &vault, &caller, "Gertrude").await;
    let (other, second) = chart(&platform, &vault, &caller, "Hilda").await;
    Ward { platform, vault, ann, caller, own, other, conditions: [first, second] }
}

async fn chart(platform: &Platform, vault: &Vault, caller: &Caller, name: &str) -> (ResourceId, ResourceId) {
    let patient = draft(platform, ResourceKind::Patient, None, name);
    let condition = draft(platform, ResourceKind::Condition, Some(patient.id), name);
    let ids = (patient.id, condition.id);
    write(vault, caller, vec![Planned::Create(patient)]).await.unwrap();
    write(vault, caller, vec![Planned::Create(condition)]).await.unwrap();
    ids
}

impl Ward {
    async fn app(&self, scopes: &str, patient: Option<ResourceId>) -> AppToken {
        self.platform.app(&self.ann, AppSpec { scopes, patient, ..AppSpec::default() }).await
    }

    async fn asks(&self, scopes: &str, patient: Option<ResourceId>) -> Caller {
        self.app(scopes, patient).await.person.caller(&self.vault).await.unwrap()
    }

    async fn people(&self, sql: &str) {
        let schema = self.ann.tenant.schema();
        as_superuser(&self.platform, "operations", sql.replace(":schema", &schema)).await;
    }
}

fn hidden<T>(result: &Result<T, AccessError>) -> bool {
    matches!(result, Err(AccessError::Invisible | AccessError::Forbidden(_)))
}

#[tokio::test]
async fn i11_patient_scopes_for_one_patient_read_nothing_of_another() {
    let ward = ward().await;
    let app = ward.asks("patient/*.cruds", Some(ward.own)).await;
    let vault = &ward.vault;
    let [own, other] = ward.conditions;
    let condition = ResourceKind::Condition;
    assert_eq!(read(vault, &app, condition, own).await.unwrap(), "Gertrude");
    assert_eq!(read(vault, &app, ResourceKind::Patient, ward.own).await.unwrap(), "Gertrude");
    assert_eq!(version_read(vault, &app, (condition, own), 1).await.unwrap(), "Gertrude");
    assert_eq!(history(vault, &app, (condition, own)).await.unwrap().len(), 1);
    // The same of the other patient, whom the person cares for as well.
    assert_eq!(read(vault, &ward.caller, condition, other).await.unwrap(), "Hilda");
    assert!(hidden(&read(vault, &app, condition, other).await));
    assert!(hidden(&read(vault, &app, ResourceKind::Patient, ward.other).await));
    assert!(hidden(&version_read(vault, &app, (condition, other), 1).await));
    assert!(history(vault, &app, (condition, other)).await.unwrap_or_default().is_empty());
    for kind in [condition, ResourceKind::Patient] {
        for count in [1, 100] {
            let mut all = query(kind);
            all.count = count;
            let page = vault.find(&app, &all).await.unwrap();
            assert_eq!(page.found.len(), 1, "{kind}");
            assert!(page.next.is_none(), "a next page would tell that there is somebody else");
        }
    }
    let mut theirs = query(condition);
    theirs.patients = Some(vec![ward.other]);
    assert!(search(vault, &app, &theirs).await.unwrap().is_empty());
    theirs.patients = None;
    theirs.terms = named("Hilda");
    assert!(search(vault, &app, &theirs).await.unwrap().is_empty());
    assert!(vault.find_match(&app, &theirs).await.unwrap().is_empty());
    // The positive control: the person's own session finds both.
    assert_eq!(search(vault, &ward.caller, &query(condition)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn i11_patient_scopes_for_one_patient_write_nothing_of_another() {
    let ward = ward().await;
    let app = ward.asks("patient/*.cruds", Some(ward.own)).await;
    let (vault, platform) = (&ward.vault, &ward.platform);
    let about = |patient| draft(platform, ResourceKind::Condition, Some(patient), "Migraine");
    write(vault, &app, vec![Planned::Create(about(ward.own))]).await.unwrap();
    assert!(hidden(&write(vault, &app, vec![Planned::Create(about(ward.other))]).await));
    let both = vec![Planned::Create(about(ward.own)), Planned::Create(about(ward.other))];
    assert!(hidden(&write(vault, &app, both).await), "a transaction does all or nothing");
    let newcomer = draft(platform, ResourceKind::Patient, None, "Ida");
    assert!(hidden(&write(vault, &app, vec![Planned::Create(newcomer)]).await));
    // What the person fetched is not written by the app, whatever is said about it.
    let [own, other] = ward.conditions;
    let fetch = |id| vault.fetch::<Update>(&ward.caller, ResourceKind::Condition, id);
    let next = |id, patient| Draft { id, base: 1, ..about(patient) };
    let moved = Planned::Update(next(other, ward.own), fetch(other).await.unwrap());
    assert!(matches!(write(vault, &app, vec![moved]).await, Err(AccessError::Invisible)));
    let kept = Planned::Update(next(other, ward.other), fetch(other).await.unwrap());
    assert!(matches!(write(vault, &app, vec![kept]).await, Err(AccessError::Invisible)));
    let gone = Planned::Delete(fetch(other).await.unwrap(), platform.clock.now());
    assert!(hidden(&write(vault, &app, vec![gone]).await));
    write(vault, &app, vec![Planned::Update(next(own, ward.own), fetch(own).await.unwrap())]).await.unwrap();
    assert_eq!(read(vault, &ward.caller, ResourceKind::Condition, other).await.unwrap(), "Hilda");
}

#[tokio::test]
async fn i11_an_app_gets_nothing_but_fhir() {
    let ward = ward().await;
    let admin = PersonSpec { roles: &[Role::TenantAdmin, Role::Clinician], ..PersonSpec::default() };
    let boss = ward.platform.person(ward.ann.tenant, admin).await;
    ward.platform.relate(ward.ann.tenant, boss.id, ward.own, 1).await;
    let app =
        ward.platform.app(&boss, AppSpec { scopes: "user/*.cruds system/*.*", ..AppSpec::default() }).await;
    let (own, app) = (boss.caller(&ward.vault).await.unwrap(), app.person.caller(&ward.vault).await.unwrap());
    let (vault, platform) = (&ward.vault, &ward.platform);
    assert!(vault.authorize::<ManageTenant>(&own, None).await.is_ok());
    assert!(vault.authorize::<ListPeople>(&own, None).await.is_ok());
    assert!(vault.authorize_on_chart::<InvitePatient>(&own, ward.own).await.is_ok());
    assert!(hidden(&vault.authorize::<ManageTenant>(&app, None).await));
    assert!(hidden(&vault.authorize::<ListPeople>(&app, None).await));
    assert!(hidden(&vault.authorize_on_chart::<InvitePatient>(&app, ward.own).await));
    let join = || Planned::Assign { person: boss.id, patient: ward.own, at: platform.clock.now() };
    assert!(hidden(&write(vault, &app, vec![join()]).await));
    assert!(read(vault, &app, ResourceKind::Condition, ward.conditions[0]).await.is_ok());
}

fn observation(ward: &Ward, category: &str) -> Draft {
    let body = format!(r#"{{"category":[{{"coding":[{{"system":"http://x","code":"{category}"}}]}}]}}"#);
    let mut observation = draft(&ward.platform, ResourceKind::Observation, Some(ward.own), &body);
    observation.clear.categories = vec![format!("http://x|{category}")];
    observation
}

#[tokio::test]
async fn i11_a_granular_scope_opens_rows_of_its_category_only() {
    let ward = ward().await;
    let (vault, kind) = (&ward.vault, ResourceKind::Observation);
    let (vital, lab) = (observation(&ward, "vital-signs"), observation(&ward, "laboratory"));
    let (vital_id, lab_id) = (vital.id, lab.id);
    write(vault, &ward.caller, vec![Planned::Create(vital), Planned::Create(lab)]).await.unwrap();
    let app = ward.asks("patient/Observation.rs?category=http://x|vital-signs", Some(ward.own)).await;
    assert!(read(vault, &app, kind, vital_id).await.is_ok());
    assert!(hidden(&read(vault, &app, kind, lab_id).await));
    assert!(hidden(&version_read(vault, &app, (kind, lab_id), 1).await));
    let found = search(vault, &app, &query(kind)).await.unwrap();
    assert_eq!(found.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [vital_id]);
    let mut labs = query(kind);
    labs.clear =
        vec![ClearFilter::Category { exact: vec!["http://x|laboratory".to_owned()], codes: Vec::new() }];
    assert!(search(vault, &app, &labs).await.unwrap().is_empty());
    assert_eq!(search(vault, &ward.caller, &labs).await.unwrap().len(), 1);
    // A version has the category that it had.
    let mut next = observation(&ward, "vital-signs");
    (next.id, next.base) = (lab_id, 1);
    let present = vault.fetch::<Update>(&ward.caller, kind, lab_id).await.unwrap();
    write(vault, &ward.caller, vec![Planned::Update(next, present)]).await.unwrap();
    assert!(read(vault, &app, kind, lab_id).await.is_ok());
    let versions = history(vault, &app, (kind, lab_id)).await.unwrap();
    assert_eq!(versions.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [2]);
}

const SCOPES: &[&str] = &[
    "patient/*.rs",
    "patient/Condition.r",
    "patient/Patient.cruds",
    "patient/*.write",
    "user/Condition.rs",
    "user/*.read",
    "user/*.cruds",
    "user/Patient.s",
    "system/*.*",
    "openid",
    "offline_access",
    "user/Encounter.c",
];

#[test]
fn i11_whatever_its_scopes_an_app_is_shown_nothing_that_the_person_is_not() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ward = runtime.block_on(ward());
    let colleague = runtime.block_on(ward.platform.person(ward.ann.tenant, PersonSpec::default()));
    let stranger = runtime.block_on(colleague.caller(&ward.vault)).unwrap();
    let (hidden_patient, hidden_condition) =
        runtime.block_on(chart(&ward.platform, &ward.vault, &stranger, "Ida"));
    let rows = [
        (ResourceKind::Patient, ward.own),
        (ResourceKind::Patient, ward.other),
        (ResourceKind::Condition, ward.conditions[0]),
        (ResourceKind::Condition, ward.conditions[1]),
        (ResourceKind::Patient, hidden_patient),
        (ResourceKind::Condition, hidden_condition),
    ];
    let contexts = vec![None, Some(ward.own), Some(ward.other), Some(hidden_patient)];
    let cases = (proptest::sample::subsequence(SCOPES, 0..=4), proptest::sample::select(contexts));
    let mut runner = TestRunner::deterministic();
    let mut opened = 0;
    for _ in 0..40 {
        let (scopes, context) = cases.new_tree(&mut runner).unwrap().current();
        let scopes = scopes.join(" ");
        runtime.block_on(async {
            let app = ward.asks(&scopes, context).await;
            for (kind, id) in rows {
                let shown = read(&ward.vault, &app, kind, id).await.is_ok();
                let own = read(&ward.vault, &ward.caller, kind, id).await.is_ok();
                assert!(!shown || own, "{scopes} opens {kind}/{id}");
                opened += usize::from(shown);
            }
            for kind in [ResourceKind::Patient, ResourceKind::Condition] {
                let found = search(&ward.vault, &app, &query(kind)).await.unwrap_or_default();
                let own = search(&ward.vault, &ward.caller, &query(kind)).await.unwrap();
                assert!(found.iter().all(|row| own.contains(row)), "{scopes} finds {kind}");
            }
        });
    }
    assert!(opened > 10, "the positive control: some scopes open something, {opened}");
}

#[tokio::test]
async fn bar_i7_withdrawing_disabling_signing_out_and_suspending_end_a_token_within_a_second() {
    let ward = ward().await;
    let changes = [
        "UPDATE :schema.oauth_grant SET revoked_at = now() WHERE id = ':grant'",
        "UPDATE :schema.oauth_client SET state = 'disabled' WHERE id = ':client'",
        "UPDATE :schema.oauth_client SET removed_at = now() WHERE id = ':client'",
        "UPDATE :schema.oauth_token SET kind = 'refresh' WHERE oauth_grant = ':grant'",
        "UPDATE :schema.oauth_token SET scopes = 'openid' WHERE oauth_grant = ':grant'",
        "UPDATE :schema.session SET revoked_at = now() WHERE person = ':person'",
        "UPDATE :schema.person SET suspended_at = now() WHERE id = ':person'",
    ];
    for change in changes {
        let app = ward.app("patient/*.rs", Some(ward.own)).await;
        let opens = async || match app.person.caller(&ward.vault).await {
            Ok(caller) => {
                read(&ward.vault, &caller, ResourceKind::Condition, ward.conditions[0]).await.is_ok()
            }
            Err(_) => false,
        };
        assert!(opens().await, "before: {change}");
        let sql = change
            .replace(":grant", &app.grant.to_string())
            .replace(":client", &app.client.to_string())
            .replace(":person", &ward.ann.id.to_string());
        ward.people(&sql).await;
        let begun = Instant::now();
        while opens().await {
            assert!(begun.elapsed() < Duration::from_secs(1), "{change}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let restore =
            "UPDATE :schema.session SET revoked_at = NULL; UPDATE :schema.person SET suspended_at = NULL";
        ward.people(restore).await;
    }
}

#[tokio::test]
async fn i11_a_token_ends_at_its_time_with_its_session_or_without_one() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
    let platform = Platform::start_at(clock.clone()).await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await;
    let bound = platform.app(&ann, AppSpec::default()).await.person;
    let free = platform.app(&ann, AppSpec { bound: false, ..AppSpec::default() }).await.person;
    let weak = platform.app(&ann, AppSpec { aal: 1, ..AppSpec::default() }).await.person;
    clock.advance(Duration::from_secs(299));
    assert!(bound.caller(&vault).await.is_ok() && free.caller(&vault).await.is_ok());
    let refused = vault
        .fetch::<Read>(
            &weak.caller(&vault).await.unwrap(),
            ResourceKind::Patient,
            ResourceId::from_uuid(ann.id.as_uuid()),
        )
        .await;
    assert!(matches!(refused, Err(AccessError::Forbidden(_))), "one factor reads nothing by an app either");
    // Longer tokens, so that the session's end is what counts.
    let schema = acme.id.schema();
    let longer = format!("UPDATE {schema}.oauth_token SET expires_at = expires_at + interval '1 hour'");
    as_superuser(&platform, "operations", longer).await;
    clock.advance(Duration::from_secs(602));
    tokio::time::sleep(Duration::from_millis(950)).await;
    assert!(ann.caller(&vault).await.is_err(), "idle for fifteen minutes");
    assert!(bound.caller(&vault).await.is_err());
    assert!(free.caller(&vault).await.is_ok());
    clock.advance(Duration::from_secs(3_600));
    assert!(free.caller(&vault).await.is_err());
    // Another tenant's token is nobody's.
    let bolt = platform.tenant("bolt").await;
    vault.directory().refresh().await.unwrap();
    assert!(free.caller_at(&vault, bolt.id).await.is_err());
}

#[tokio::test]
async fn i11_what_an_app_does_and_is_refused_is_on_record_in_the_persons_name() {
    let ward = ward().await;
    let app = ward.app("patient/*.rs", Some(ward.own)).await;
    let caller = app.person.caller(&ward.vault).await.unwrap();
    let first = i64::try_from(entries(&ward.platform, ward.ann.tenant, 0).await.len()).unwrap();
    read(&ward.vault, &caller, ResourceKind::Condition, ward.conditions[0]).await.unwrap();
    assert!(read(&ward.vault, &caller, ResourceKind::Condition, ward.conditions[1]).await.is_err());
    let added = entries(&ward.platform, ward.ann.tenant, first).await;
    assert_eq!(
        added.iter().map(|entry| entry.outcome).collect::<Vec<_>>(),
        [Outcome::Permitted, Outcome::Denied]
    );
    for entry in &added {
        assert_eq!(entry.actor.person, Some(ward.ann.id));
        assert_eq!(entry.actor.session.map(|id| id.as_uuid()), Some(app.grant), "what the person allowed");
    }
    assert_eq!(added[1].policies, ["smart.scope"]);
}
