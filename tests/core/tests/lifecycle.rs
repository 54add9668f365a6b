//! T1, T9: a suspended tenant and one at another schema version are not served, by any process.

use std::time::{Duration, Instant};

use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Caller, Planned, SessionError, Vault};

use crate::support::{as_superuser, draft, read, write};

/// Until when a change of the directory must be felt.
const LIMIT: Duration = Duration::from_secs(5);

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < LIMIT, "not within 5 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{what}: after {:?}", started.elapsed());
}

async fn is_away(vault: &Vault, caller: &Caller, id: carekeep_kernel::ResourceId) -> bool {
    match read(vault, caller, ResourceKind::Patient, id).await {
        Ok(_) => false,
        Err(AccessError::Unavailable { .. }) => true,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn t1_a_suspended_tenant_is_served_by_no_process_within_five_seconds() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let bolt = platform.tenant("bolt").await.id;
    let (first, second) = (platform.vault().await, platform.vault().await);
    let ann = platform.person(acme, PersonSpec::default()).await;
    let cat = platform.person(bolt, PersonSpec::default()).await;
    // Signed in before, and asking on: the caller is at hand, the connections are open.
    let caller = ann.caller(&first).await.unwrap();
    let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = draft.id;
    write(&first, &caller, vec![Planned::Create(draft)]).await.unwrap();
    for vault in [&first, &second] {
        assert!(!is_away(vault, &caller, id).await);
    }
    platform.control.set_suspended("acme", true).await.unwrap();
    for vault in [&first, &second] {
        until("reads stop", async || is_away(vault, &caller, id).await).await;
        until("sign-ins stop", async || matches!(ann.caller(vault).await, Err(SessionError::Unavailable(_))))
            .await;
        assert!(cat.caller(vault).await.is_ok(), "the other tenant goes on");
    }
    platform.control.set_suspended("acme", false).await.unwrap();
    for vault in [&first, &second] {
        until("reads come back", async || !is_away(vault, &caller, id).await).await;
    }
}

#[tokio::test]
async fn t3_a_tenant_at_another_schema_version_is_unavailable_and_not_served_by_wrong_code() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = draft.id;
    write(&vault, &caller, vec![Planned::Create(draft)]).await.unwrap();
    for column in ["clinical_version", "operations_version"] {
        for by in [1, -1] {
            let change = |by: i32| format!("UPDATE directory.tenant SET {column} = {column} + {by}");
            assert!(!is_away(&vault, &caller, id).await);
            as_superuser(&platform, "directory", change(by)).await;
            until("reads stop", async || is_away(&vault, &caller, id).await).await;
            as_superuser(&platform, "directory", change(-by)).await;
            until("reads come back", async || !is_away(&vault, &caller, id).await).await;
        }
    }
}

#[tokio::test]
async fn t1_who_is_suspended_or_loses_the_care_relation_reads_nothing_more() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let draft = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = draft.id;
    write(&vault, &caller, vec![Planned::Create(draft)]).await.unwrap();
    let reads = async || {
        let caller = ann.caller(&vault).await?;
        Ok::<_, SessionError>(read(&vault, &caller, ResourceKind::Patient, id).await.is_ok())
    };
    assert!(reads().await.unwrap());
    let person = ann.id;
    let schema = acme.schema();
    let suspend =
        |value: &str| format!("UPDATE {schema}.person SET suspended_at = {value} WHERE id = '{person}'");
    as_superuser(&platform, "operations", suspend("now()")).await;
    until("the suspended read nothing", async || !reads().await.unwrap()).await;
    as_superuser(&platform, "operations", suspend("NULL")).await;
    until("then again", async || reads().await.unwrap()).await;
    as_superuser(&platform, "clinical", format!("DELETE FROM {schema}.care_relation")).await;
    assert!(!reads().await.unwrap(), "a relation is loaded with the row, each time");
}
