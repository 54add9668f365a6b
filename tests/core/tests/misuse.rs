//! Z6: what the types cannot rule out the vault refuses: permits and rows of somebody else, drafts that are not what
//! they were permitted as.

use carekeep_ledger::Outcome;
use carekeep_policy::{DenyReason, ResourceKind, Role};
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Planned, catalogue};

use crate::support::{NEWEST, as_superuser, count, draft, entries, history, open, read, write};

#[tokio::test]
async fn z6_a_permit_opens_only_the_row_and_version_that_it_names() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let caller = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let (ada, eve) = (
        draft(&platform, ResourceKind::Patient, None, "Ada"),
        draft(&platform, ResourceKind::Patient, None, "Eve"),
    );
    let (ada_id, eve_id) = (ada.id, eve.id);
    write(&vault, &caller, vec![Planned::Create(ada), Planned::Create(eve)]).await.unwrap();
    let fetch = async |id| vault.fetch::<catalogue::Read>(&caller, ResourceKind::Patient, id).await.unwrap();
    let (sealed_ada, sealed_eve) = (fetch(ada_id).await, fetch(eve_id).await);
    let permit = vault.permit::<catalogue::Read>(&caller, &sealed_ada).await.unwrap();
    assert!(matches!(open(sealed_eve, permit), Err(AccessError::Invisible)));
    let permit = vault.permit::<catalogue::Read>(&caller, &sealed_ada).await.unwrap();
    // Meanwhile there is a newer version.
    let sealed = vault.fetch::<catalogue::Update>(&caller, ResourceKind::Patient, ada_id).await.unwrap();
    let mut next = draft(&platform, ResourceKind::Patient, None, "Ada now");
    (next.id, next.patient, next.base) = (ada_id, Some(ada_id), 1);
    write(&vault, &caller, vec![Planned::Update(next, sealed)]).await.unwrap();
    assert!(matches!(open(fetch(ada_id).await, permit), Err(AccessError::Invisible)));
    let permit = vault.permit::<catalogue::Read>(&caller, &sealed_ada).await.unwrap();
    assert_eq!(open(sealed_ada, permit).unwrap(), "Ada");
}

#[tokio::test]
async fn z6_a_row_fetched_for_one_person_gives_another_nothing() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let bolt = platform.tenant("bolt").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let ben = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let cat = platform.person(bolt, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &ann, vec![Planned::Create(patient)]).await.unwrap();
    let sealed = vault.fetch::<catalogue::Read>(&ann, ResourceKind::Patient, id).await.unwrap();
    for stranger in [&ben, &cat] {
        let permit = vault.permit::<catalogue::Read>(stranger, &sealed).await;
        assert!(matches!(permit, Err(AccessError::Invisible)));
        let may = vault.may::<catalogue::Update>(stranger, &sealed).await;
        assert!(matches!(may, Err(AccessError::Invisible)));
        let versions = vault
            .fetch_history::<catalogue::History>(&ann, (ResourceKind::Patient, id), NEWEST)
            .await
            .unwrap();
        assert!(vault.permit_all::<catalogue::History>(stranger, versions).await.unwrap().is_empty());
    }
    assert!(vault.permit::<catalogue::Read>(&ann, &sealed).await.is_ok());
    assert!(vault.may::<catalogue::Update>(&ann, &sealed).await.is_ok());
}

#[tokio::test]
async fn z6_a_change_is_written_by_whom_it_was_permitted_to_and_in_their_tenant() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let bolt = platform.tenant("bolt").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let ben = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let cat = platform.person(bolt, PersonSpec::default()).await.caller(&vault).await.unwrap();
    for other in [&ben, &cat] {
        let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
        let changes = vault.permit_changes(&ann, vec![Planned::Create(patient)]).await.unwrap();
        let written = vault.commit(other, changes).await;
        assert!(matches!(written, Err(AccessError::Invalid(_))), "{written:?}");
    }
    for tenant in [acme, bolt] {
        let rows = format!("SELECT count(*) FROM {}.resource", tenant.schema());
        assert_eq!(count(&platform, "clinical", rows).await, 0);
    }
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    write(&vault, &ann, vec![Planned::Create(patient)]).await.unwrap();
}

#[tokio::test]
async fn z6_leave_to_create_writes_over_nothing_and_gets_into_no_chart() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let person = platform.person(acme, PersonSpec::default()).await;
    let ben = person.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &ann, vec![Planned::Create(patient)]).await.unwrap();
    // Any clinician may register a patient: not one who is there already, not inside another's chart.
    let taken = || {
        let mut taken = draft(&platform, ResourceKind::Patient, None, "Overwritten");
        (taken.id, taken.patient) = (id, Some(id));
        taken
    };
    let mut over = taken();
    over.base = 1;
    let mut inside = draft(&platform, ResourceKind::Patient, None, "Smuggled");
    inside.patient = Some(id);
    for (draft, conflict) in [(taken(), true), (over, false), (inside, false)] {
        let written = write(&vault, &ben, vec![Planned::Create(draft)]).await;
        assert_eq!(matches!(written, Err(AccessError::Conflict)), conflict, "{written:?}");
        assert_eq!(matches!(written, Err(AccessError::Invalid(_))), !conflict, "{written:?}");
    }
    assert!(matches!(read(&vault, &ben, ResourceKind::Patient, id).await, Err(AccessError::Invisible)));
    assert_eq!(read(&vault, &ann, ResourceKind::Patient, id).await.unwrap(), "Gertrude");
    // An update is of the version that was looked at, and stays in its chart.
    let sealed = async || vault.fetch::<catalogue::Update>(&ann, ResourceKind::Patient, id).await.unwrap();
    let mut next = taken();
    next.base = 2;
    let written = write(&vault, &ann, vec![Planned::Update(next, sealed().await)]).await;
    assert!(matches!(written, Err(AccessError::Conflict)), "{written:?}");
    let mut next = taken();
    (next.base, next.patient) = (1, None);
    let written = write(&vault, &ann, vec![Planned::Update(next, sealed().await)]).await;
    assert!(matches!(written, Err(AccessError::Invalid(_))), "{written:?}");
    let mut next = taken();
    next.base = 1;
    write(&vault, &ann, vec![Planned::Update(next, sealed().await)]).await.unwrap();
    // Nobody is put on the care team of somebody who is not there.
    let manager = PersonSpec { roles: &[Role::ClinicManager], ..PersonSpec::default() };
    let manager = platform.person(acme, manager).await;
    let boss = manager.caller(&vault).await.unwrap();
    let nobody = carekeep_kernel::ResourceId::generate(&*platform.clock, &*platform.random);
    for (patient, may) in [(nobody, false), (id, true)] {
        let plan = Planned::Assign { person: ben.person(), patient, at: platform.clock.now() };
        let written = write(&vault, &boss, vec![plan]).await;
        assert_eq!(written.is_ok(), may, "{written:?}");
    }
    // A request that came before the relation does not profit from it; the next one does.
    let later = person.caller(&vault).await.unwrap();
    assert!(read(&vault, &later, ResourceKind::Patient, id).await.is_ok());
}

#[tokio::test]
async fn bar_a8_refusals_and_misses_have_the_entry_that_they_should_have() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let ben = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let desk = PersonSpec { roles: &[Role::Reception], ..PersonSpec::default() };
    let desk = platform.person(acme, desk).await.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &ann, vec![Planned::Create(patient)]).await.unwrap();
    let nobody = carekeep_kernel::ResourceId::generate(&*platform.clock, &*platform.random);
    let kind = ResourceKind::Patient;
    let mut seen = entries(&platform, acme, 0).await.len();
    let mut expect = async |action: &str, outcome: Outcome, resources: usize| {
        let all = entries(&platform, acme, 0).await;
        assert_eq!(all.len(), seen + 1, "exactly one entry for {action}");
        seen = all.len();
        let entry = all.last().unwrap();
        assert_eq!((entry.action.as_str(), entry.outcome), (action, outcome));
        assert_eq!(entry.resources.len(), resources, "{action} {outcome:?}");
        assert!(entry.detail.is_some());
    };
    read(&vault, &ann, kind, id).await.unwrap();
    expect("read", Outcome::Permitted, 1).await;
    assert!(read(&vault, &ben, kind, id).await.is_err());
    expect("read", Outcome::Denied, 1).await;
    assert!(read(&vault, &ann, kind, nobody).await.is_err());
    expect("read", Outcome::NotFound, 0).await;
    history(&vault, &ann, (kind, id)).await.unwrap();
    expect("history", Outcome::Permitted, 1).await;
    assert!(history(&vault, &ben, (kind, id)).await.unwrap().is_empty());
    expect("history", Outcome::Denied, 1).await;
    assert!(history(&vault, &ann, (kind, nobody)).await.is_err());
    expect("history", Outcome::NotFound, 0).await;
    assert!(read(&vault, &desk, ResourceKind::Condition, nobody).await.is_err());
    expect("read", Outcome::Denied, 0).await;
    let condition = draft(&platform, ResourceKind::Condition, Some(id), "E11");
    assert!(write(&vault, &ben, vec![Planned::Create(condition)]).await.is_err());
    expect("create", Outcome::Denied, 1).await;
    let found = vault.find(&ben, &crate::support::query(kind)).await.unwrap().found;
    assert!(found.is_empty());
    expect("search", Outcome::Permitted, 0).await;
}

#[tokio::test]
async fn p1_giving_an_account_to_a_chart_is_decided_on_the_chart_and_on_record_under_its_pseudonym() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let ben = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let boss = PersonSpec { roles: &[Role::TenantAdmin], ..PersonSpec::default() };
    let boss = platform.person(acme, boss).await.caller(&vault).await.unwrap();
    let privacy = PersonSpec { roles: &[Role::PrivacyOfficer], ..PersonSpec::default() };
    let privacy = platform.person(acme, privacy).await.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let (kind, id) = (ResourceKind::Patient, patient.id);
    write(&vault, &ann, vec![Planned::Create(patient)]).await.unwrap();
    read(&vault, &ann, kind, id).await.unwrap();
    let last = async || entries(&platform, acme, 0).await.pop().unwrap();
    let pseudonym = last().await.patients;
    assert_eq!(pseudonym.len(), 1);

    type Leave = catalogue::InvitePatient;
    let leave = vault.authorize_on_chart::<Leave>(&ann, id).await.unwrap();
    assert_eq!((leave.patient(), leave.about(), leave.tenant()), (Some(id), None, acme));
    let entry = last().await;
    assert_eq!((entry.action.as_str(), entry.outcome), ("invite_patient", Outcome::Permitted));
    assert_eq!((entry.patients, entry.id), (pseudonym.clone(), leave.entry()));

    let refused = vault.authorize_on_chart::<Leave>(&ben, id).await.err().unwrap();
    assert!(matches!(refused, AccessError::Invisible), "{refused}");
    let entry = last().await;
    assert_eq!((entry.outcome, entry.patients), (Outcome::Denied, pseudonym.clone()));
    let refused = vault.authorize_on_chart::<Leave>(&boss, id).await.err().unwrap();
    assert!(matches!(refused, AccessError::Forbidden(DenyReason::NoPermit)), "{refused}");

    // A factor of a quarter of an hour ago is asked for again, of whoever may do it then.
    let stale = async |relation: Option<i16>| {
        let person = platform.person(acme, PersonSpec::default()).await;
        if let Some(relation) = relation {
            platform.relate(acme, person.id, id, relation).await;
        }
        let earlier =
            "UPDATE {}.session SET factor_at = factor_at - interval '16 minutes' WHERE person = '{}'";
        let sql = earlier.replacen("{}", &acme.schema(), 1).replacen("{}", &person.id.to_string(), 1);
        as_superuser(&platform, "operations", sql).await;
        let caller = person.caller(&vault).await.unwrap();
        vault.authorize_on_chart::<Leave>(&caller, id).await.err().unwrap()
    };
    let refused = stale(Some(1)).await;
    assert!(matches!(refused, AccessError::Forbidden(DenyReason::NeedsFreshFactor)), "{refused}");
    assert!(matches!(stale(None).await, AccessError::Invisible));

    // A chart that was taken out of use gets no account.
    let fetched = vault.fetch::<catalogue::Delete>(&privacy, kind, id).await.unwrap();
    write(&vault, &privacy, vec![Planned::Delete(fetched, platform.clock.now())]).await.unwrap();
    let gone = vault.authorize_on_chart::<Leave>(&ann, id).await.err().unwrap();
    assert!(matches!(gone, AccessError::Gone), "{gone}");
    assert_eq!(last().await.outcome, Outcome::NotFound);
}
