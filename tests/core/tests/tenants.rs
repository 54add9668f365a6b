//! T1, T2, T3: tenants, their walls, and the catalogue.

use std::time::Instant;

use carekeep_tenancy::{Database, NewTenant, TenancyError};
use carekeep_testkit::Platform;

#[tokio::test]
async fn t1_creating_a_tenant_twice_changes_nothing_and_resumes() {
    let platform = Platform::start().await;
    let started = Instant::now();
    let first = platform.tenant("acme").await;
    println!("tenant created in {:?}", started.elapsed());
    assert_eq!(first.status, "active");
    assert_eq!(first.hosts, ["acme.localhost"]);
    assert_eq!(platform.tenant("acme").await, first);
    // Killed half-way: the clinical schema is not there yet.
    let clinical = platform.superuser("clinical");
    let drop = format!("DROP SCHEMA {} CASCADE", first.id.schema());
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&clinical).await.unwrap();
    sqlx::query("UPDATE directory.tenant SET status = 'provisioning'")
        .execute(&platform.superuser("directory"))
        .await
        .unwrap();
    assert_eq!(platform.control.show("acme").await.unwrap().status, "provisioning");
    assert_eq!(platform.tenant("acme").await.status, "active");
}

#[tokio::test]
async fn t1_a_slug_or_host_of_somebody_else_is_refused() {
    let platform = Platform::start().await;
    platform.tenant("acme").await;
    platform.control.ensure_partner("southern", "Southern Care").await.unwrap();
    let mut other = Platform::new_tenant("acme");
    other.partner = Some("southern".to_owned());
    assert!(matches!(platform.control.create(&other).await, Err(TenancyError::Taken { what: "slug", .. })));
    let mut other = Platform::new_tenant("bolt");
    other.hosts = vec!["acme.localhost".to_owned()];
    assert!(matches!(platform.control.create(&other).await, Err(TenancyError::Taken { what: "host", .. })));
    let mut other = Platform::new_tenant("bolt");
    other.partner = Some("nobody".to_owned());
    assert!(matches!(platform.control.create(&other).await, Err(TenancyError::Unknown(_))));
}

#[tokio::test]
async fn t5_a_brand_has_a_colour_that_can_be_read_or_none() {
    let platform = Platform::start().await;
    for colour in ["red", "#ffcc00", "#0b5c7a; }"] {
        let made = platform.control.create(&coloured("acme", colour)).await;
        assert!(matches!(made, Err(TenancyError::Name { field: "accent", .. })), "{colour}");
    }
    assert!(matches!(platform.control.show("acme").await, Err(TenancyError::Unknown(_))), "nothing is left");
    assert_eq!(platform.tenant("bolt").await.accent, None);
    let made = platform.control.create(&coloured("acme", "#7A1F4B")).await.unwrap();
    assert_eq!(made.accent.as_deref(), Some("#7a1f4b"));
}

fn coloured(slug: &str, colour: &str) -> NewTenant {
    NewTenant { accent: Some(colour.to_owned()), ..Platform::new_tenant(slug) }
}

#[tokio::test]
async fn bar_t5_the_catalogue_of_a_migrated_database_has_no_findings_and_a_broken_one_has() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    platform.tenant("bolt").await;
    for database in [Database::Directory, Database::Operations, Database::Clinical] {
        platform.control.lint(database).await.unwrap();
    }
    let schema = acme.id.schema();
    let superuser = platform.superuser("clinical");
    let role = format!("{schema}_c");
    let bolt = platform.control.show("bolt").await.unwrap().id.schema();
    for (sabotage, undo) in [
        (format!("ALTER ROLE {role} CREATEDB"), format!("ALTER ROLE {role} NOCREATEDB")),
        (format!("GRANT pg_read_all_data TO {role}"), format!("REVOKE pg_read_all_data FROM {role}")),
        (format!("ALTER ROLE {role} CONNECTION LIMIT -1"), format!("ALTER ROLE {role} CONNECTION LIMIT 60")),
        (
            format!("ALTER ROLE {role} IN DATABASE clinical SET search_path = {schema}"),
            format!("ALTER ROLE {role} IN DATABASE clinical SET search_path = {schema}, pg_temp"),
        ),
        (
            format!("ALTER TABLE {schema}.resource OWNER TO {role}"),
            format!("ALTER TABLE {schema}.resource OWNER TO carekeep_owner"),
        ),
        (
            format!("GRANT USAGE ON SCHEMA {schema} TO PUBLIC"),
            format!("REVOKE USAGE ON SCHEMA {schema} FROM PUBLIC"),
        ),
        (
            format!("GRANT USAGE ON SCHEMA {bolt} TO {role}"),
            format!("REVOKE USAGE ON SCHEMA {bolt} FROM {role}"),
        ),
        (
            "GRANT TEMP ON DATABASE clinical TO PUBLIC".to_owned(),
            "REVOKE TEMP ON DATABASE clinical FROM PUBLIC".to_owned(),
        ),
        (
            format!("GRANT SELECT ON {schema}.resource TO PUBLIC"),
            format!("REVOKE SELECT ON {schema}.resource FROM PUBLIC"),
        ),
        (
            "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC".to_owned(),
            "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC".to_owned(),
        ),
        (
            "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC".to_owned(),
            "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC".to_owned(),
        ),
        (
            "GRANT SELECT ON pg_stat_activity TO PUBLIC".to_owned(),
            "REVOKE SELECT ON pg_stat_activity FROM PUBLIC".to_owned(),
        ),
        (
            "GRANT EXECUTE ON FUNCTION pg_stat_get_activity(integer) TO PUBLIC".to_owned(),
            "REVOKE EXECUTE ON FUNCTION pg_stat_get_activity(integer) FROM PUBLIC".to_owned(),
        ),
        (format!("ALTER ROLE {role} SET work_mem = '64kB'"), format!("ALTER ROLE {role} RESET work_mem")),
        (
            format!("GRANT UPDATE ON {schema}.audit_entry TO {role}"),
            format!("REVOKE UPDATE ON {schema}.audit_entry FROM {role}"),
        ),
        (
            format!("CREATE VIEW {schema}.leak AS SELECT * FROM {schema}.resource"),
            format!("DROP VIEW {schema}.leak"),
        ),
        (
            format!(
                "CREATE FUNCTION {schema}.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
                     REVOKE ALL ON FUNCTION {schema}.f() FROM PUBLIC"
            ),
            format!("DROP FUNCTION {schema}.f()"),
        ),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sabotage.clone())).execute(&superuser).await.unwrap();
        let found = platform.control.lint(Database::Clinical).await;
        assert!(matches!(found, Err(TenancyError::Lint { .. })), "not found: {sabotage}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(undo)).execute(&superuser).await.unwrap();
    }
    platform.control.lint(Database::Clinical).await.unwrap();
}
