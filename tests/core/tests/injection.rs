//! T2: somebody runs SQL of their own as a tenant's login. What they get is the tenant's own, and nothing they do
//! outlives their connection.

use carekeep_kernel::TenantId;
use carekeep_policy::ResourceKind;
use carekeep_tenancy::{Database, TenancyError};
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Planned};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};

use crate::support::{as_superuser, draft, read, write};

/// What a payload is expected to come to.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    /// Postgres says no.
    Refused,
    /// Postgres does it, and nothing is gained.
    Harmless,
}
use Outcome::{Harmless, Refused};

/// In payloads, `{own}` and `{foreign}` are schemas, `{me}` and `{other}` logins, `{table}` a table with rows.
const PAYLOADS: &[(Outcome, &str)] = &[
    (Refused, "SET ROLE {other}"),
    (Refused, "SET SESSION ROLE {other}"),
    (Refused, "SET LOCAL ROLE {other}; SELECT * FROM {foreign}.{table}"),
    (Refused, "SET ROLE carekeep_owner"),
    (Refused, "SET SESSION AUTHORIZATION {other}"),
    (Refused, "SET SESSION AUTHORIZATION postgres"),
    (Refused, "RESET SESSION AUTHORIZATION; RESET ROLE; SELECT * FROM {foreign}.{table}"),
    (Refused, "RESET ALL; DISCARD PLANS; SELECT * FROM {foreign}.{table}"),
    (Refused, "SELECT set_config('role', '{other}', false)"),
    (Refused, "SELECT set_config('session_authorization', '{other}', false)"),
    (Refused, "SELECT * FROM {foreign}.{table}"),
    (Refused, "TABLE {foreign}.{table}"),
    (Refused, "SELECT 1 UNION ALL SELECT count(*)::int FROM {foreign}.{table}"),
    (Refused, "COPY {foreign}.{table} TO STDOUT"),
    (Refused, "SET search_path = {foreign}; SELECT * FROM {table}"),
    (Refused, "SELECT set_config('search_path', '{foreign}', false); SELECT * FROM {table}"),
    (Refused, "INSERT INTO {foreign}.schema_version VALUES (99)"),
    (Refused, "SELECT query_to_xml('SELECT * FROM {foreign}.{table}', true, true, '')"),
    (Refused, "SELECT schema_to_xml('{foreign}', true, true, '')"),
    (Refused, "SELECT * FROM directory.directory.tenant"),
    (Refused, "DO $$ BEGIN EXECUTE 'SET ROLE {other}'; END $$"),
    (Refused, "DO $$ BEGIN RAISE NOTICE 'x'; END $$"),
    (Refused, "COPY {own}.{table} TO PROGRAM 'id'"),
    (Refused, "COPY {own}.schema_version FROM PROGRAM 'id'"),
    (Refused, "COPY {own}.{table} TO '/tmp/carekeep-injection'"),
    (Refused, "COPY {own}.schema_version FROM '/etc/passwd'"),
    (Refused, "CREATE EXTENSION dblink"),
    (Refused, "CREATE EXTENSION hstore"),
    (Refused, "SELECT dblink_connect('dbname=clinical user=postgres')"),
    (Refused, "SELECT lo_import('/etc/passwd')"),
    (Refused, "SELECT lo_export(1, '/tmp/carekeep-injection')"),
    (Refused, "SELECT lo_from_bytea(0, 'x')"),
    (Refused, "SELECT lo_create(0)"),
    (Refused, "SELECT pg_read_file('/etc/passwd')"),
    (Refused, "SELECT pg_read_binary_file('PG_VERSION')"),
    (Refused, "SELECT pg_ls_dir('.')"),
    (Refused, "SELECT * FROM pg_ls_waldir()"),
    (Refused, "SELECT pg_stat_file('PG_VERSION')"),
    (Refused, "CREATE FUNCTION {own}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    (Refused, "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    (Refused, "CREATE OPERATOR {own}.=== (leftarg = int, rightarg = int, function = int4eq)"),
    (Refused, "CREATE CAST (text AS bytea) WITHOUT FUNCTION"),
    (Refused, "CREATE SCHEMA evil"),
    (Refused, "CREATE TABLE {own}.evil (x int)"),
    (Refused, "CREATE TABLE public.evil (x int)"),
    (Refused, "CREATE TEMP TABLE {table} (x int)"),
    (Refused, "SELECT 1 AS x INTO TEMP evil"),
    (
        Refused,
        "CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    ),
    (
        Refused,
        "CREATE TRIGGER evil BEFORE UPDATE ON {own}.{table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    (Refused, "CREATE RULE evil AS ON INSERT TO {own}.{table} DO INSTEAD NOTHING"),
    (Refused, "CREATE POLICY evil ON {own}.{table}"),
    (Refused, "CREATE VIEW {own}.evil AS SELECT 1"),
    (Refused, "CREATE INDEX evil ON {own}.{table} (id)"),
    (Refused, "CREATE FOREIGN DATA WRAPPER evil"),
    (Refused, "CREATE PUBLICATION evil FOR ALL TABLES"),
    (Refused, "CREATE SUBSCRIPTION evil CONNECTION 'x' PUBLICATION y"),
    (Refused, "CREATE ROLE evil"),
    (Refused, "CREATE DATABASE evil"),
    (Refused, "ALTER ROLE {me} SUPERUSER"),
    (Refused, "ALTER ROLE {me} CREATEROLE"),
    (Refused, "ALTER ROLE {me} BYPASSRLS"),
    (Refused, "ALTER ROLE {me} CONNECTION LIMIT -1"),
    (Refused, "ALTER ROLE {me} VALID UNTIL 'infinity'"),
    (Refused, "ALTER ROLE {me} RENAME TO evil"),
    (Refused, "ALTER ROLE {other} PASSWORD 'taken'"),
    (Refused, "ALTER ROLE {other} SET search_path = {own}"),
    (Refused, "ALTER DATABASE clinical SET search_path = {own}"),
    (Refused, "ALTER SYSTEM SET log_statement = 'all'"),
    (Refused, "SET log_statement = 'all'"),
    (Refused, "LOAD 'auto_explain'"),
    (Refused, "GRANT {other} TO {me}"),
    (Refused, "GRANT carekeep_owner TO {me}"),
    (Refused, "GRANT pg_read_all_data TO {me}"),
    (Refused, "REASSIGN OWNED BY {other} TO {me}"),
    (Refused, "ALTER TABLE {own}.{table} OWNER TO {me}"),
    (Refused, "ALTER TABLE {own}.{table} DISABLE TRIGGER ALL"),
    (Refused, "ALTER TABLE {own}.{table} ENABLE ROW LEVEL SECURITY"),
    (Refused, "DROP TABLE {own}.{table}"),
    (Refused, "DROP SCHEMA {foreign} CASCADE"),
    (Refused, "TRUNCATE {own}.{table}"),
    (Refused, "DELETE FROM {own}.{table}"),
    (Refused, "SELECT pg_advisory_lock(1)"),
    (Refused, "SELECT pg_try_advisory_xact_lock(1)"),
    (Refused, "SELECT pg_notify('carekeep_directory', 'x')"),
    (Refused, "SELECT pg_export_snapshot()"),
    (Refused, "SELECT * FROM pg_stat_activity"),
    (Refused, "SELECT * FROM pg_stat_get_activity(NULL)"),
    (Refused, "SELECT * FROM pg_stat_user_tables"),
    (Refused, "SELECT * FROM pg_locks"),
    (Refused, "SELECT * FROM pg_db_role_setting"),
    (Refused, "SELECT * FROM pg_authid"),
    (Refused, "SELECT * FROM pg_shadow"),
    (Refused, "SELECT * FROM pg_hba_file_rules"),
    (Refused, "SELECT * FROM pg_statistic"),
    (Refused, "SELECT * FROM pg_largeobject"),
    (Refused, "SELECT pg_reload_conf()"),
    (Refused, "BEGIN; PREPARE TRANSACTION 'evil'"),
    (Harmless, "SELECT pg_terminate_backend(1)"),
    (Harmless, "RESET ALL; RESET ROLE"),
    (Harmless, "DISCARD ALL"),
    (Harmless, "SET search_path = {foreign}, public"),
    (Harmless, "SET statement_timeout = 0; SET default_transaction_read_only = on"),
    (Harmless, "SELECT set_config('search_path', '{foreign}', false)"),
    (Harmless, "LISTEN carekeep_directory"),
    (Harmless, "NOTIFY carekeep_directory"),
    (Harmless, "PREPARE evil AS SELECT 1; BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT; BEGIN"),
    (Harmless, "SELECT * FROM information_schema.tables WHERE table_schema = '{foreign}'"),
    (Harmless, "SELECT * FROM information_schema.columns WHERE table_schema = '{foreign}'"),
    (Harmless, "SELECT * FROM pg_stats WHERE schemaname = '{foreign}'"),
    (Harmless, "GRANT SELECT ON {own}.{table} TO {other}"),
    (Harmless, "GRANT USAGE ON SCHEMA {own} TO PUBLIC"),
];

/// More for the clinical side: the ledger can be added to, and nothing else.
const LEDGER: &[(Outcome, &str)] = &[
    (Refused, "UPDATE {own}.audit_entry SET entry = ''"),
    (Refused, "DELETE FROM {own}.audit_entry"),
    (Refused, "TRUNCATE {own}.audit_entry"),
    (Refused, "LOCK TABLE {own}.audit_entry IN ACCESS EXCLUSIVE MODE"),
    (Refused, "ALTER TABLE {own}.audit_entry DISABLE TRIGGER ALL"),
    (Refused, "INSERT INTO {own}.audit_entry SELECT 0, entry, leaf FROM {own}.audit_entry"),
    (Refused, "INSERT INTO {own}.audit_entry VALUES (-1, '', sha256('x'))"),
    (
        Refused,
        "INSERT INTO {own}.audit_entry SELECT 0, '', sha256('x') ON CONFLICT (idx) DO UPDATE SET entry = ''",
    ),
    (Refused, "DELETE FROM {own}.audit_checkpoint"),
    (Refused, "UPDATE {own}.audit_checkpoint SET note = ''"),
    (Refused, "DELETE FROM {own}.resource_version"),
    (Refused, "UPDATE {own}.resource_version SET sealed = ''"),
    (Refused, "UPDATE {own}.resource SET patient = id"),
    (Refused, "UPDATE {own}.care_relation SET person = patient"),
    (Refused, "DELETE FROM {own}.care_relation"),
];

/// Everything that must be as it was: who there is, what there is, who may what, how many rows.
const FINGERPRINT: &str = "
  SELECT string_agg(x, E'\\n' ORDER BY x) FROM (
    SELECT 'role ' || r.rolname || r.rolsuper || r.rolinherit || r.rolcreaterole || r.rolcreatedb || r.rolcanlogin
      || r.rolreplication || r.rolconnlimit || r.rolbypassrls || coalesce(a.rolpassword, '') AS x
      FROM pg_roles r JOIN pg_authid a USING (oid)
    UNION ALL SELECT 'member ' || m::text FROM pg_auth_members m
    UNION ALL SELECT 'setting ' || s::text FROM pg_db_role_setting s
    UNION ALL SELECT 'schema ' || nspname || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname NOT LIKE 'pg_t%'
    UNION ALL SELECT 'relation ' || relnamespace || relname || relowner || coalesce(relacl::text, '') FROM pg_class
      WHERE relkind IN ('r', 'v', 'i', 'S') AND oid > 16000
    UNION ALL SELECT 'function ' || oid FROM pg_proc UNION ALL SELECT 'trigger ' || oid FROM pg_trigger
    UNION ALL SELECT 'event ' || evtname FROM pg_event_trigger UNION ALL SELECT 'extension ' || extname FROM pg_extension
    UNION ALL SELECT 'object ' || oid FROM pg_largeobject_metadata UNION ALL SELECT 'acl ' || oid FROM pg_default_acl
    UNION ALL SELECT 'rule ' || rulename FROM pg_rewrite WHERE oid > 16000
    UNION ALL SELECT 'database ' || datname || coalesce(datacl::text, '') FROM pg_database
    UNION ALL SELECT 'rows ' || md5(query_to_xml(format('SELECT * FROM %I.%I', nspname, relname), true, true, '')::text)
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname LIKE 't\\_%'
  ) all_of_it";

async fn text(platform: &Platform, database: &str, sql: &'static str) -> String {
    let pool = platform.superuser(database);
    let text = sqlx::query(sql).fetch_one(&pool).await.unwrap().get(0);
    pool.close().await;
    text
}

/// Runs statements and gives all that comes back as text.
async fn run(connection: &mut PgConnection, sql: String) -> Result<String, sqlx::Error> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let cell = |row: &sqlx::postgres::PgRow, at| row.try_get_unchecked::<Option<String>, _>(at);
    let mut all = String::new();
    for row in &rows {
        for at in 0..row.len() {
            all += &cell(row, at)?.unwrap_or_default();
            all.push(' ');
        }
    }
    Ok(all)
}

struct Drill {
    login: PgConnectOptions,
    names: [(&'static str, String); 5],
    /// What only the other tenant's rows hold.
    foreign: String,
    /// What the tenant's own rows hold.
    own: String,
}

impl Drill {
    fn fill(&self, payload: &str) -> String {
        self.names.iter().fold(payload.to_owned(), |sql, (name, value)| sql.replace(name, value))
    }

    async fn run(&self, payloads: &[(Outcome, &str)]) {
        for (expected, payload) in payloads {
            let mut connection = PgConnection::connect_with(&self.login).await.unwrap();
            let outcome = run(&mut connection, self.fill(payload)).await;
            drop(connection);
            match (&outcome, expected) {
                (Ok(shown), _) => assert!(!shown.contains(&self.foreign), "{payload}: foreign rows"),
                (Err(_), Refused) => {}
                (Err(error), Harmless) => panic!("{payload}: {error}"),
            }
            assert_eq!(outcome.is_err(), *expected == Refused, "{payload}");
            let mut next = PgConnection::connect_with(&self.login).await.unwrap();
            let state = "SELECT current_user, session_user, current_setting('search_path'), current_setting('statement_timeout')";
            let [_, own_schema, _, me, _] = [0, 1, 2, 3, 4].map(|at: usize| {
                let order = ["{table}", "{own}", "{foreign}", "{me}", "{other}"];
                self.names.iter().find(|(name, _)| *name == order[at]).unwrap().1.clone()
            });
            let seen = run(&mut next, state.to_owned()).await.unwrap();
            assert_eq!(seen, format!("{me} {me} {own_schema}, pg_temp 10s "), "after {payload}");
        }
        // The control: the same hands do read what is theirs.
        let mut connection = PgConnection::connect_with(&self.login).await.unwrap();
        let shown = run(&mut connection, self.fill("SELECT id FROM {table}")).await.unwrap();
        assert!(shown.contains(&self.own) && !shown.contains(&self.foreign));
    }
}

async fn furnished(platform: &Platform, slug: &str) -> (TenantId, String, String) {
    let tenant = platform.tenant(slug).await.id;
    let mut config = platform.vault_config();
    // That it was used is written down when all is over: nothing changes meanwhile but by what is injected.
    config.sessions.settled = std::time::Duration::from_secs(60 * 60);
    let vault = platform.vault_with(config).await;
    let person = platform.person(tenant, PersonSpec::default()).await;
    let caller = person.caller(&vault).await.unwrap();
    let patient = draft(platform, ResourceKind::Patient, None, slug);
    let id = patient.id;
    write(&vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    (tenant, id.to_string(), person.id.to_string())
}

#[tokio::test]
async fn bar_t2_injected_sql_as_a_tenants_login_reads_nothing_foreign_and_leaves_nothing_behind() {
    let platform = Platform::start().await;
    let (acme, acme_row, acme_person) = furnished(&platform, "acme").await;
    let (bolt, bolt_row, bolt_person) = furnished(&platform, "bolt").await;
    for (database, suffix, table, own, foreign) in [
        (Database::Clinical, "c", "resource", acme_row, bolt_row),
        (Database::Operations, "o", "person", acme_person, bolt_person),
    ] {
        let login = platform.tenant_login(acme, database).await;
        let names = [
            ("{own}", acme.schema()),
            ("{foreign}", bolt.schema()),
            ("{me}", format!("{}_{suffix}", acme.schema())),
            ("{other}", format!("{}_{suffix}", bolt.schema())),
            ("{table}", table.to_owned()),
        ];
        let drill = Drill { login: login.clone(), names, foreign, own };
        let before = text(&platform, database.name(), FINGERPRINT).await;
        drill.run(PAYLOADS).await;
        if database == Database::Clinical {
            drill.run(LEDGER).await;
        }
        let after = text(&platform, database.name(), FINGERPRINT).await;
        assert!(before == after, "something was left behind");
        // The other databases are closed to it, its own is not.
        for elsewhere in ["directory", "operations", "clinical", "postgres", "template1"] {
            let opened = PgConnection::connect_with(&login.clone().database(elsewhere)).await;
            assert_eq!(opened.is_ok(), elsewhere == database.name(), "{elsewhere}");
        }
        // The control of the check: whoever may read foreign rows is seen to.
        let mut superuser = platform.superuser(database.name()).acquire().await.unwrap().detach();
        let shown = run(&mut superuser, drill.fill("SELECT * FROM {foreign}.{table}")).await.unwrap();
        assert!(shown.contains(&drill.foreign));
        run(&mut superuser, drill.fill("GRANT {other} TO {me}")).await.unwrap();
        assert!(before != text(&platform, database.name(), FINGERPRINT).await);
        run(&mut superuser, drill.fill("REVOKE {other} FROM {me}")).await.unwrap();
    }
    assert!(!std::path::Path::new("/tmp/carekeep-injection").exists());
}

#[tokio::test]
async fn bar_t2_a_login_that_changed_its_own_defaults_or_password_is_not_served_until_the_tenant_is_made_again()
 {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let ann = platform.person(acme, PersonSpec::default()).await;
    let caller = ann.caller(&vault).await.unwrap();
    let patient = draft(&platform, ResourceKind::Patient, None, "Gertrude");
    let id = patient.id;
    write(&vault, &caller, vec![Planned::Create(patient)]).await.unwrap();
    let reads = async || {
        let fresh = platform.vault().await;
        read(&fresh, &caller, ResourceKind::Patient, id).await
    };
    assert!(reads().await.is_ok());
    let role = format!("{}_c", acme.schema());
    for (change, found_by_lint) in [
        // Everything would still be found, with temporary tables before it.
        ("ALTER ROLE CURRENT_USER IN DATABASE clinical SET search_path = {own}", true),
        ("ALTER ROLE CURRENT_USER IN DATABASE clinical SET search_path = public", true),
        ("ALTER ROLE CURRENT_USER IN DATABASE clinical SET role = 'none'; ALTER ROLE CURRENT_USER SET search_path = pg_temp;
          ALTER ROLE CURRENT_USER IN DATABASE clinical RESET search_path", true),
        ("ALTER ROLE CURRENT_USER PASSWORD 'known-to-the-attacker'", false),
    ] {
        let login = platform.tenant_login(acme, Database::Clinical).await;
        let mut attacker = PgConnection::connect_with(&login).await.unwrap();
        run(&mut attacker, change.replace("{own}", &acme.schema())).await.unwrap();
        assert!(matches!(reads().await, Err(AccessError::Unavailable { .. })), "served after {change}");
        let lint = platform.control.lint(Database::Clinical).await;
        assert_eq!(matches!(lint, Err(TenancyError::Lint { .. })), found_by_lint, "{change}");
        platform.tenant("acme").await;
        assert!(reads().await.is_ok(), "not restored after {change}");
        platform.control.lint(Database::Clinical).await.unwrap();
    }
    // Settings that do not move the login are taken back too.
    as_superuser(&platform, "clinical", format!("ALTER ROLE {role} SET work_mem = '64kB'")).await;
    assert!(platform.control.lint(Database::Clinical).await.is_err());
    platform.tenant("acme").await;
    platform.control.lint(Database::Clinical).await.unwrap();
}
