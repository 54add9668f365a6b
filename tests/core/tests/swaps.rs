//! K1: a sealed value opens in its own place only. The attacker here owns the database.

use carekeep_kernel::{ResourceId, TenantId};
use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Caller, Planned, Vault, catalogue};

use crate::support::{
    as_superuser, draft, history, named, query, read, search, verify_ledger, version_read, write,
};

struct Chart {
    patient: ResourceId,
    condition: ResourceId,
}

/// A patient with a condition of two versions.
async fn chart(platform: &Platform, vault: &Vault, caller: &Caller, text: &str) -> Chart {
    let patient = draft(platform, ResourceKind::Patient, None, text);
    let id = patient.id;
    let condition = draft(platform, ResourceKind::Condition, Some(id), text);
    let condition_id = condition.id;
    write(vault, caller, vec![Planned::Create(patient)]).await.unwrap();
    write(vault, caller, vec![Planned::Create(condition)]).await.unwrap();
    let sealed =
        vault.fetch::<catalogue::Update>(caller, ResourceKind::Condition, condition_id).await.unwrap();
    let mut next = draft(platform, ResourceKind::Condition, Some(id), &format!("{text} now"));
    (next.id, next.base) = (condition_id, 1);
    write(vault, caller, vec![Planned::Update(next, sealed)]).await.unwrap();
    Chart { patient: id, condition: condition_id }
}

/// Every way in: by id, by version, by history, by search. Gives what was opened.
async fn everything(vault: &Vault, caller: &Caller, id: ResourceId) -> Vec<String> {
    let mut opened = Vec::new();
    for kind in [ResourceKind::Patient, ResourceKind::Condition, ResourceKind::Observation] {
        opened.extend(read(vault, caller, kind, id).await);
        for version in 1..=3 {
            opened.extend(version_read(vault, caller, (kind, id), version).await);
        }
        opened.extend(history(vault, caller, (kind, id)).await.unwrap_or_default().into_iter().map(|v| v.1));
        for terms in [Vec::new(), named("Ada now"), named("Eve now")] {
            let mut asked = query(kind);
            (asked.ids, asked.terms) = (Some(vec![id]), terms);
            opened.extend(search(vault, caller, &asked).await.unwrap_or_default().into_iter().map(|f| f.2));
        }
    }
    opened
}

struct Names {
    own: TenantId,
    other: TenantId,
    ada: Chart,
    eve: Chart,
    foreign: Chart,
}

impl Names {
    fn fill(&self, sql: &str) -> String {
        [
            ("{s}", self.own.schema()),
            ("{t}", self.other.schema()),
            ("{ada}", format!("'{}'", self.ada.patient)),
            ("{eve}", format!("'{}'", self.eve.patient)),
            ("{ada_c}", format!("'{}'", self.ada.condition)),
            ("{eve_c}", format!("'{}'", self.eve.condition)),
            ("{foreign_c}", format!("'{}'", self.foreign.condition)),
        ]
        .iter()
        .fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, value))
    }
}

/// Each: what is done to the rows, and then the present version of Ada's condition opens in no way.
const PRESENT: &[(&str, &str)] = &[
    (
        "body of another row",
        "UPDATE {s}.resource SET sealed = (SELECT sealed FROM {s}.resource WHERE id = {eve_c}) WHERE id = {ada_c}",
    ),
    (
        "body of another type",
        "UPDATE {s}.resource SET sealed = (SELECT sealed FROM {s}.resource WHERE id = {ada}) WHERE id = {ada_c}",
    ),
    (
        "body of the version before",
        "UPDATE {s}.resource SET sealed = (SELECT sealed FROM {s}.resource_version WHERE id = {ada_c}) WHERE id = {ada_c}",
    ),
    (
        "body of another tenant",
        "UPDATE {s}.resource SET sealed = (SELECT sealed FROM {t}.resource WHERE id = {foreign_c}) WHERE id = {ada_c}",
    ),
    ("version number up", "UPDATE {s}.resource SET version = 3 WHERE id = {ada_c}"),
    ("patient changed", "UPDATE {s}.resource SET patient = {eve} WHERE id = {ada_c}"),
    ("patient removed", "UPDATE {s}.resource SET patient = NULL WHERE id = {ada_c}"),
    ("type changed", "UPDATE {s}.resource SET kind = 'Observation' WHERE id = {ada_c}"),
    ("type changed to Patient", "UPDATE {s}.resource SET kind = 'Patient', patient = id WHERE id = {ada_c}"),
    ("emptied", "UPDATE {s}.resource SET sealed = '' WHERE id = {ada_c}"),
    (
        "cut short",
        "UPDATE {s}.resource SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE id = {ada_c}",
    ),
    ("made longer", "UPDATE {s}.resource SET sealed = sealed || '\\x00' WHERE id = {ada_c}"),
    (
        "format byte",
        "UPDATE {s}.resource SET sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 1) WHERE id = {ada_c}",
    ),
    (
        "generation",
        "UPDATE {s}.resource SET sealed = set_byte(sealed, 4, get_byte(sealed, 4) # 3) WHERE id = {ada_c}",
    ),
    (
        "salt",
        "UPDATE {s}.resource SET sealed = set_byte(sealed, 12, get_byte(sealed, 12) # 1) WHERE id = {ada_c}",
    ),
    (
        "a middle byte",
        "UPDATE {s}.resource SET sealed = set_byte(sealed, length(sealed) / 2, get_byte(sealed, length(sealed) / 2) # 1) WHERE id = {ada_c}",
    ),
    (
        "the last byte",
        "UPDATE {s}.resource SET sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 128) WHERE id = {ada_c}",
    ),
];

const EARLIER: &[(&str, &str)] = &[
    (
        "earlier body of another row",
        "UPDATE {s}.resource_version SET sealed = (SELECT sealed FROM {s}.resource_version WHERE id = {eve_c}) WHERE id = {ada_c}",
    ),
    (
        "present body as the earlier one",
        "UPDATE {s}.resource_version SET sealed = (SELECT sealed FROM {s}.resource WHERE id = {ada_c}) WHERE id = {ada_c}",
    ),
    ("earlier patient changed", "UPDATE {s}.resource_version SET patient = {eve} WHERE id = {ada_c}"),
    (
        "earlier last byte",
        "UPDATE {s}.resource_version SET sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 1) WHERE id = {ada_c}",
    ),
];

#[tokio::test]
async fn bar_k1_a_body_moved_to_any_other_place_opens_nowhere() {
    let platform = Platform::start().await;
    let own = platform.tenant("acme").await.id;
    let other = platform.tenant("bolt").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(own, PersonSpec::default()).await;
    let cat = platform.person(other, PersonSpec::default()).await;
    let (caller, stranger) = (ann.caller(&vault).await.unwrap(), cat.caller(&vault).await.unwrap());
    let names = Names {
        own,
        other,
        ada: chart(&platform, &vault, &caller, "Ada").await,
        eve: chart(&platform, &vault, &caller, "Eve").await,
        foreign: chart(&platform, &vault, &stranger, "Ida").await,
    };
    let save = "CREATE TABLE {s}.saved AS TABLE {s}.resource; CREATE TABLE {s}.saved_version AS TABLE {s}.resource_version";
    let restore = "DELETE FROM {s}.resource; DELETE FROM {s}.resource_version;
        INSERT INTO {s}.resource SELECT * FROM {s}.saved; INSERT INTO {s}.resource_version SELECT * FROM {s}.saved_version";
    as_superuser(&platform, "clinical", names.fill(save)).await;
    let about = (ResourceKind::Condition, names.ada.condition);
    let whole = everything(&vault, &caller, names.ada.condition).await;
    assert_eq!(whole.len(), 7, "the control: by id, two versions, two of history, two searches: {whole:?}");
    for (what, sql) in PRESENT {
        as_superuser(&platform, "clinical", names.fill(sql)).await;
        let opened = everything(&vault, &caller, names.ada.condition).await;
        // The earlier version was not touched and opens by its number and in a history; nothing else does.
        assert!(opened.iter().all(|text| text == "Ada"), "{what}: {opened:?}");
        let now = read(&vault, &caller, about.0, about.1).await;
        assert!(
            matches!(now, Err(AccessError::Unavailable { .. } | AccessError::Invisible)),
            "{what}: {now:?}"
        );
        as_superuser(&platform, "clinical", names.fill(restore)).await;
        assert_eq!(everything(&vault, &caller, names.ada.condition).await, whole, "restored after {what}");
    }
    for (what, sql) in EARLIER {
        as_superuser(&platform, "clinical", names.fill(sql)).await;
        let old = version_read(&vault, &caller, about, 1).await;
        assert!(matches!(old, Err(AccessError::Unavailable { .. })), "{what}: {old:?}");
        assert!(history(&vault, &caller, about).await.is_err(), "{what}");
        assert!(read(&vault, &caller, about.0, about.1).await.is_ok(), "{what}: the present one is whole");
        as_superuser(&platform, "clinical", names.fill(restore)).await;
    }
    // A row under another id, and rows of which only the id is exchanged.
    let moved = ResourceId::generate(&*platform.clock, &*platform.random);
    let sql = format!("UPDATE {{s}}.resource SET id = '{moved}' WHERE id = {{ada_c}}");
    as_superuser(&platform, "clinical", names.fill(&sql)).await;
    assert_eq!(everything(&vault, &caller, moved).await, Vec::<String>::new());
    as_superuser(&platform, "clinical", names.fill(restore)).await;
    assert_eq!(everything(&vault, &caller, names.ada.condition).await, whole);
    verify_ledger(&platform, own, &[]).await;
}

#[tokio::test]
async fn bar_k1_keys_and_passwords_of_another_tenant_or_purpose_open_nothing() {
    let platform = Platform::start().await;
    let own = platform.tenant("acme").await.id;
    let other = platform.tenant("bolt").await.id;
    let ann = platform.person(own, PersonSpec::default()).await;
    let vault = platform.vault().await;
    let caller = ann.caller(&vault).await.unwrap();
    let ada = chart(&platform, &vault, &caller, "Ada").await;
    let reads = async || {
        let fresh = platform.vault().await;
        read(&fresh, &caller, ResourceKind::Patient, ada.patient).await
    };
    assert_eq!(reads().await.unwrap(), "Ada");
    as_superuser(
        &platform,
        "directory",
        "CREATE TABLE directory.saved_key AS TABLE directory.tenant_key;
         CREATE TABLE directory.saved_login AS TABLE directory.tenant_login",
    )
    .await;
    let from = |purpose: &str, tenant: TenantId| {
        format!(
            "(SELECT wrapped FROM directory.tenant_key WHERE tenant = '{tenant}' AND purpose = '{purpose}')"
        )
    };
    let set = |purpose: &str, value: String| {
        format!(
            "UPDATE directory.tenant_key SET wrapped = {value} WHERE tenant = '{own}' AND purpose = '{purpose}'"
        )
    };
    let purposes: Vec<&str> = carekeep_keys::KeyPurpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
    let mut swaps: Vec<String> = Vec::new();
    for purpose in ["data", "credential", "ledger", "pseudonym"] {
        assert!(purposes.contains(&purpose), "{purposes:?}");
        swaps.push(set(purpose, from(purpose, other)));
        swaps.push(set(purpose, from("index", own)));
        swaps.push(format!(
            "UPDATE directory.tenant_key SET generation = 2 WHERE tenant = '{own}' AND purpose = '{purpose}'"
        ));
    }
    for (from, to) in [(other, "clinical"), (own, "operations")] {
        swaps.push(format!(
            "UPDATE directory.tenant_login SET sealed_password = (SELECT sealed_password FROM directory.tenant_login
               WHERE tenant = '{from}' AND database = '{to}') WHERE tenant = '{own}' AND database = 'clinical'"
        ));
    }
    for swap in swaps {
        as_superuser(&platform, "directory", swap.clone()).await;
        let opened = reads().await;
        assert!(matches!(opened, Err(AccessError::Unavailable { .. })), "{swap}: {opened:?}");
        as_superuser(
            &platform,
            "directory",
            "DELETE FROM directory.tenant_key; INSERT INTO directory.tenant_key TABLE directory.saved_key;
             DELETE FROM directory.tenant_login; INSERT INTO directory.tenant_login TABLE directory.saved_login",
        )
        .await;
    }
    assert_eq!(reads().await.unwrap(), "Ada");
}
