//! K8: whoever takes the databases and the server's log away finds no health data in them.

use carekeep_kernel::{
    index::{IndexValue, ParamId, Scope},
    random,
};
use carekeep_ledger::Outcome;
use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{Planned, SecretColumn, SecretPlace, catalogue};
use data_encoding::{BASE64, HEXLOWER};
use sqlx::{AssertSqlSafe, Row};

use crate::support::{as_superuser, draft, entries, query, search, write};

/// Every row of every table of every schema of a database, as text (`bytea` in hexadecimal).
async fn dump(platform: &Platform, database: &str) -> String {
    let pool = platform.superuser(database);
    let tables = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' ORDER BY 1";
    let mut all = String::new();
    for row in sqlx::query(tables).fetch_all(&pool).await.unwrap() {
        let table: String = row.get(0);
        let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t");
        all += &sqlx::query(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap().get::<String, _>(0);
    }
    pool.close().await;
    all
}

/// In the clear, in hexadecimal, and in base 64 at each of the three alignments.
fn disguises(canary: &str) -> Vec<String> {
    let mut all = vec![canary.to_owned(), HEXLOWER.encode(canary.as_bytes())];
    for shift in 0..3 {
        let text = BASE64.encode(format!("{}{canary}", "x".repeat(shift)).as_bytes());
        // Without the characters that the neighbours have a share in.
        all.push(text[4..text.len() - 4].to_owned());
    }
    all
}

fn found(haystack: &str, canaries: &[String]) -> Vec<String> {
    canaries.iter().flat_map(|canary| disguises(canary)).filter(|form| haystack.contains(form)).collect()
}

#[tokio::test]
async fn bar_k8_no_canary_lies_in_any_table_or_in_the_servers_log() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let caller = platform.person(acme, PersonSpec::default()).await.caller(&vault).await.unwrap();
    let canaries: Vec<String> = [
        "body",
        "family-name",
        "identifier",
        "code",
        "asked",
        "earlier",
        "deleted",
        "refused",
        "login",
        "totp",
    ]
    .iter()
    .map(|what| format!("canary-{what}-zq7x4-{}", HEXLOWER.encode(&random::bytes::<6>(&*platform.random))))
    .collect();
    let [body, name, identifier, code, asked, earlier, deleted, refused, login, totp] =
        <[String; 10]>::try_from(canaries.clone()).unwrap();
    let mut patient = draft(&platform, ResourceKind::Patient, None, &earlier);
    let id = patient.id;
    let value = |param, scope, text: &str| IndexValue { param: ParamId(param), scope, text: text.to_owned() };
    patient.values.push(value(1, Scope::Tenant, &name));
    patient.values.push(value(3, Scope::Tenant, &identifier));
    let mut condition = draft(&platform, ResourceKind::Condition, Some(id), &body);
    condition.values.push(value(2, Scope::Patient, &code));
    let gone = draft(&platform, ResourceKind::Condition, Some(id), &deleted);
    let gone_id = gone.id;
    write(&vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    // Who registers a patient joins the care team at that moment.
    write(&vault, &caller, vec![Planned::Create(condition), Planned::Create(gone)]).await.unwrap();
    let fetch = async |kind, id| vault.fetch::<catalogue::Update>(&caller, kind, id).await.unwrap();
    let sealed = fetch(ResourceKind::Patient, id).await;
    let mut next = draft(&platform, ResourceKind::Patient, None, &body);
    (next.id, next.patient, next.base) = (id, Some(id), 1);
    next.values.push(value(1, Scope::Tenant, &name));
    write(&vault, &caller, vec![Planned::Update(next, sealed)]).await.unwrap();
    let sealed = fetch(ResourceKind::Condition, gone_id).await;
    write(&vault, &caller, vec![Planned::Delete(sealed, platform.clock.now())]).await.unwrap();
    // Searches that find and that do not; a write that the database refuses.
    for (kind, terms) in [
        (ResourceKind::Patient, vec![vec![value(1, Scope::Tenant, &name)]]),
        (ResourceKind::Condition, vec![vec![value(2, Scope::Patient, &code)]]),
        (ResourceKind::Patient, vec![vec![value(3, Scope::Tenant, &asked)]]),
    ] {
        let found = search(
            &vault,
            &caller,
            &carekeep_vault::RecordQuery { terms, asked: asked.clone(), ..query(kind) },
        )
        .await
        .unwrap();
        assert!(found.len() <= 1);
    }
    let mut again = draft(&platform, ResourceKind::Patient, None, &refused);
    (again.id, again.patient) = (id, Some(id));
    assert!(write(&vault, &caller, vec![Planned::Create(again)]).await.is_err());
    assert!(entries(&platform, acme, 0).await.iter().any(|entry| entry.outcome == Outcome::Failed));
    // What the operations side keeps under seal.
    for (column, text) in [(SecretColumn::PersonLogin, &login), (SecretColumn::TotpSecret, &totp)] {
        let row = *caller.person().as_uuid().as_bytes();
        let sealed = vault.seal_secret(acme, SecretPlace { column, row }, text.as_bytes()).await.unwrap();
        let sql =
            format!("UPDATE {}.person SET sealed_name = '\\x{}'", acme.schema(), HEXLOWER.encode(&sealed));
        as_superuser(&platform, "operations", sql).await;
    }
    for database in ["directory", "operations", "clinical", "postgres"] {
        let dump = dump(&platform, database).await;
        assert!(dump.len() > 10_000, "{database} was dumped");
        assert_eq!(found(&dump, &canaries), Vec::<String>::new(), "{database}");
    }
    // The control: in each disguise, one that does lie there is found.
    let schema = acme.schema();
    let plant =
        |expression: String| format!("UPDATE {schema}.resource SET status = {expression} WHERE id = '{id}'");
    for (expression, form) in [
        (format!("'{body}'"), 0),
        (format!("encode('{body}', 'hex')"), 1),
        (format!("encode('{body}', 'base64')"), 2),
        (format!("encode('x{body}', 'base64')"), 3),
    ] {
        as_superuser(&platform, "clinical", plant(expression)).await;
        let hits = found(&dump(&platform, "clinical").await, &canaries);
        assert!(hits.contains(&disguises(&body)[form]), "{form}: {hits:?}");
    }
    // The server's log, in which a refused statement would show.
    let log = std::fs::read_to_string(platform.postgres.log_path()).unwrap();
    assert!(log.contains("database system is ready"), "this is the log");
    assert_eq!(found(&log, &canaries), Vec::<String>::new());
}
