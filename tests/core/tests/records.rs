//! P1, K1, A1: reading and writing through the gate.

use carekeep_kernel::index::{IndexValue, ParamId, Scope};
use carekeep_policy::{DenyReason, Projection, ResourceKind, Role};
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{
    AccessError, Caller, OrderBy, Planned, RecordQuery,
    catalogue::{ListPeople, Read},
};

use crate::support::{NEWEST, draft, entries, named, query, read, write};

#[tokio::test]
async fn p1_a_clinician_reads_what_is_theirs_and_nothing_else_is_there() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let bolt = platform.tenant("bolt").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await;
    let ben = platform.person(acme.id, PersonSpec::default()).await;
    let cat = platform.person(bolt.id, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    assert_eq!(read(&vault, &caller, ResourceKind::Patient, id).await.unwrap(), "Gertrude");
    let condition = draft(&platform, ResourceKind::Condition, Some(id), "E11");
    let condition_id = condition.id;
    write(&vault, &caller, vec![Planned::Create(condition)]).await.unwrap();
    assert_eq!(read(&vault, &caller, ResourceKind::Condition, condition_id).await.unwrap(), "E11");
    // A colleague who has nothing to do with the patient, and somebody of another tenant, see nothing there.
    for stranger in [&ben, &cat] {
        let caller = stranger.caller(&vault).await.unwrap();
        for (kind, id) in [(ResourceKind::Patient, id), (ResourceKind::Condition, condition_id)] {
            assert!(matches!(read(&vault, &caller, kind, id).await, Err(AccessError::Invisible)));
        }
    }
    platform.relate(acme.id, ben.id, id, 2).await;
    let caller = ben.caller(&vault).await.unwrap();
    assert_eq!(read(&vault, &caller, ResourceKind::Condition, condition_id).await.unwrap(), "E11");
    // Another tenant's token is nobody's.
    assert!(ann.caller_at(&vault, bolt.id).await.is_err());
}

#[tokio::test]
async fn p3_reception_and_single_factor_sessions_read_nothing_clinical() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let condition = draft(&platform, ResourceKind::Condition, Some(patient.id), "E11");
    let (patient_id, condition_id) = (patient.id, condition.id);
    write(&vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    write(&vault, &caller, vec![Planned::Create(condition)]).await.unwrap();
    let desk = platform.person(acme.id, PersonSpec { roles: &[Role::Reception], ..Default::default() }).await;
    let caller = desk.caller(&vault).await.unwrap();
    assert!(read(&vault, &caller, ResourceKind::Patient, patient_id).await.is_ok());
    let denied = read(&vault, &caller, ResourceKind::Condition, condition_id).await;
    assert!(matches!(denied, Err(AccessError::Forbidden(DenyReason::NoPermit))));
    let weak = platform.person(acme.id, PersonSpec { aal: 1, ..Default::default() }).await;
    platform.relate(acme.id, weak.id, patient_id, 1).await;
    let caller = weak.caller(&vault).await.unwrap();
    let denied = read(&vault, &caller, ResourceKind::Condition, condition_id).await;
    assert!(matches!(denied, Err(AccessError::Forbidden(DenyReason::NeedsSecondFactor))));
}

#[tokio::test]
async fn x1_versions_conflict_delete_and_history() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    let kind = ResourceKind::Patient;
    let fetch = || vault.fetch::<carekeep_vault::catalogue::Update>(&caller, kind, id);
    let next = |base: u32, text: &str| {
        let mut next = draft(&platform, kind, None, text);
        (next.id, next.patient, next.base) = (id, Some(id), base);
        next
    };
    let (first, second) = (fetch().await.unwrap(), fetch().await.unwrap());
    write(&vault, &caller, vec![Planned::Update(next(1, "Trudy"), first)]).await.unwrap();
    assert_eq!(read(&vault, &caller, kind, id).await.unwrap(), "Trudy");
    let late = write(&vault, &caller, vec![Planned::Update(next(1, "Gerda"), second)]).await;
    assert!(matches!(late, Err(AccessError::Conflict)));
    assert_eq!(read(&vault, &caller, kind, id).await.unwrap(), "Trudy");
    let history =
        vault.fetch_history::<carekeep_vault::catalogue::History>(&caller, (kind, id), NEWEST).await.unwrap();
    let opened = vault.permit_all::<carekeep_vault::catalogue::History>(&caller, history).await.unwrap();
    let texts: Vec<String> = opened
        .into_iter()
        .map(|(sealed, permit)| {
            String::from_utf8(sealed.open(permit).unwrap().expose().body.to_vec()).unwrap()
        })
        .collect();
    assert_eq!(texts, ["Trudy", "Gertrude"]);
}

#[tokio::test]
async fn k5_search_by_tokens_finds_the_panel_and_nobody_else() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await;
    let ben = platform.person(acme.id, PersonSpec::default()).await;
    let (ann, ben) = (ann.caller(&vault).await.unwrap(), ben.caller(&vault).await.unwrap());
    for (caller, name) in [(&ann, "Gertrude"), (&ann, "Hilda"), (&ben, "Ida")] {
        let patient = draft(&platform, ResourceKind::Patient, None, name);
        let condition = draft(&platform, ResourceKind::Condition, Some(patient.id), name);
        write(&vault, caller, vec![Planned::Create(patient)]).await.unwrap();
        write(&vault, caller, vec![Planned::Create(condition)]).await.unwrap();
    }
    let query = |kind, terms: Vec<Vec<IndexValue>>| RecordQuery {
        kind,
        ids: None,
        patients: None,
        clear: Vec::new(),
        shown_by: vec![Projection::Full],
        terms,
        order: OrderBy::LastUpdated,
        descending: true,
        count: 20,
        after: None,
        asked: "test".to_owned(),
    };
    let name = |text: &str| IndexValue { param: ParamId(1), scope: Scope::Tenant, text: format!("n:{text}") };
    let code = IndexValue { param: ParamId(2), scope: Scope::Patient, text: "c:e11".to_owned() };
    let found = |caller, query: RecordQuery| {
        let vault = &vault;
        async move {
            let page = vault.find(caller, &query).await.unwrap();
            let mut texts: Vec<String> = page
                .found
                .into_iter()
                .map(|(sealed, permit)| {
                    String::from_utf8(sealed.open(permit).unwrap().expose().body.to_vec()).unwrap()
                })
                .collect();
            texts.sort();
            texts
        }
    };
    assert_eq!(found(&ann, query(ResourceKind::Patient, Vec::new())).await, ["Gertrude", "Hilda"]);
    assert_eq!(found(&ann, query(ResourceKind::Patient, vec![vec![name("Hilda")]])).await, ["Hilda"]);
    assert_eq!(
        found(&ann, query(ResourceKind::Patient, vec![vec![name("Hilda"), name("Gertrude"), name("Ida")]]))
            .await,
        ["Gertrude", "Hilda"]
    );
    assert!(found(&ann, query(ResourceKind::Patient, vec![vec![name("Ida")]])).await.is_empty());
    assert_eq!(
        found(&ann, query(ResourceKind::Condition, vec![vec![code.clone()]])).await,
        ["Gertrude", "Hilda"]
    );
    assert_eq!(found(&ben, query(ResourceKind::Condition, vec![vec![code]])).await, ["Ida"]);
}

#[tokio::test]
async fn p4_a_row_whose_projection_hides_what_is_asked_for_is_as_one_that_does_not_match() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let ann = platform.person(acme.id, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &ann, vec![Planned::Create(patient)]).await.unwrap();
    // Of patients contact data is the most that these roles show, and ids the least.
    let roles = &[Role::Reception, Role::ServiceAccount];
    let desk = platform.person(acme.id, PersonSpec { roles, ..Default::default() }).await;
    let asked = |shown_by: &[Projection]| RecordQuery {
        terms: named("Gertrude"),
        shown_by: shown_by.to_vec(),
        ..query(ResourceKind::Patient)
    };
    let all = [Projection::Contact, Projection::Full, Projection::Metadata];
    for related in [false, true] {
        if related {
            platform.relate(acme.id, desk.id, id, 1).await;
        }
        let caller = desk.caller(&vault).await.unwrap();
        for (shown_by, found) in [(&all[..], 1), (&all[..1], 1), (&all[1..], 0), (&all[2..], 0)] {
            let rows = vault.find_match(&caller, &asked(shown_by)).await.unwrap();
            assert_eq!(rows.len(), found, "{related} {shown_by:?}");
        }
        // What no policy of theirs could show is refused, and so is what nobody said is shown.
        for shown_by in [&all[1..2], &[]] {
            let refused = vault.find_match(&caller, &asked(shown_by)).await;
            assert!(matches!(refused, Err(AccessError::NotShown)), "{shown_by:?}");
            let refused = vault.find(&caller, &asked(shown_by)).await;
            assert!(matches!(refused, Err(AccessError::NotShown)), "{shown_by:?}");
        }
    }
    let rows = vault.find(&ann, &asked(&all[1..2])).await.unwrap();
    assert_eq!(rows.found.len(), 1, "the control: the clinician sees all of it");
}

#[tokio::test]
async fn i10_whoever_holds_several_roles_does_what_each_may_do_and_the_ledger_says_for_which_purpose() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let person =
        async |roles: &[Role]| platform.person(acme, PersonSpec { roles, ..Default::default() }).await;
    let caller = async |roles: &[Role]| person(roles).await.caller(&vault).await.unwrap();
    let ann = caller(&[Role::Clinician]).await;
    let (own, foreign) = (
        draft(&platform, ResourceKind::Patient, None, "Gertrude"),
        draft(&platform, ResourceKind::Patient, None, "Hilda"),
    );
    let (own_id, foreign_id) = (own.id, foreign.id);
    write(&vault, &ann, vec![Planned::Create(own), Planned::Create(foreign)]).await.unwrap();
    let condition = draft(&platform, ResourceKind::Condition, Some(foreign_id), "E11");
    let condition_id = condition.id;
    write(&vault, &ann, vec![Planned::Create(condition)]).await.unwrap();
    let purpose = async || entries(&platform, acme, 0).await.pop().unwrap().purpose;
    let shown = async |caller: &Caller, id| {
        let sealed = vault.fetch::<Read>(caller, ResourceKind::Patient, id).await.unwrap();
        let permit = vault.permit::<Read>(caller, &sealed).await.unwrap();
        sealed.open(permit).unwrap().expose().projection
    };

    // A nurse who also runs the tenant does both; a nurse does not.
    let person_both = person(&[Role::Nurse, Role::TenantAdmin]).await;
    let both = person_both.caller(&vault).await.unwrap();
    let _ = vault.authorize::<ListPeople>(&both, None).await.unwrap();
    assert_eq!(purpose().await, "HOPERAT");
    platform.relate(acme, person_both.id, own_id, 1).await;
    let both = person_both.caller(&vault).await.unwrap();
    assert_eq!(shown(&both, own_id).await, Projection::Full);
    assert_eq!(purpose().await, "TREAT");
    let nurse = caller(&[Role::Nurse]).await;
    assert!(vault.authorize::<ListPeople>(&nurse, None).await.is_err());

    // A clinician who also sits at the desk: own patients in full, everybody's contact data, nobody else's diagnosis.
    let desk = person(&[Role::Clinician, Role::Reception]).await;
    platform.relate(acme, desk.id, own_id, 1).await;
    let desk = desk.caller(&vault).await.unwrap();
    assert_eq!(shown(&desk, own_id).await, Projection::Full);
    assert_eq!(shown(&desk, foreign_id).await, Projection::Contact);
    assert_eq!(purpose().await, "HOPERAT");
    let denied = read(&vault, &desk, ResourceKind::Condition, condition_id).await;
    assert!(matches!(denied, Err(AccessError::Invisible)));
    let found = vault.find(&desk, &query(ResourceKind::Patient)).await.unwrap().found;
    assert_eq!(found.len(), 2);
    assert_eq!(purpose().await, "TREAT HOPERAT");
    // Registering at the desk is no treatment: a nurse may not register, and does not come to care for whom reception does.
    let nurse_at_desk = caller(&[Role::Nurse, Role::Reception]).await;
    let walk_in = draft(&platform, ResourceKind::Patient, None, "Ida");
    let walk_in_id = walk_in.id;
    write(&vault, &nurse_at_desk, vec![Planned::Create(walk_in)]).await.unwrap();
    assert_eq!(shown(&nurse_at_desk, walk_in_id).await, Projection::Contact);

    // What contact data hides finds own patients only.
    let hidden = RecordQuery { shown_by: vec![Projection::Full], ..query(ResourceKind::Patient) };
    let found = vault.find(&desk, &hidden).await.unwrap().found;
    assert_eq!(found.iter().map(|(sealed, _)| sealed.id()).collect::<Vec<_>>(), [own_id]);
}
