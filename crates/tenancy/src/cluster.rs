//! Preparing a Postgres cluster, once: the three databases, the platform's roles, and everything taken from PUBLIC.
//!
//! Invariant: after this a login sees only what was granted to it by name. The cluster's superuser is needed here and
//! nowhere else.

use carekeep_kernel::TenantKind;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};

use crate::{Database, TenancyError, migrate::migrate_schema};

/// The schema of the directory database.
pub const DIRECTORY_SCHEMA: &str = "directory";
/// The login that gateways use on the directory: it may read it and nothing else.
pub const GATEWAY_ROLE: &str = "carekeep_gateway";
/// The login that creates roles and schemas; only `carekeep tenant`, `carekeep migrate` and the worker have it.
pub const PROVISIONER_ROLE: &str = "carekeep_provisioner";
/// Owns every schema and table; nobody can log in as it.
pub const OWNER_ROLE: &str = "carekeep_owner";

/// Passwords of the platform's own logins. Letters, digits, `-` and `_` only.
pub struct PlatformPasswords {
    /// For [`GATEWAY_ROLE`].
    pub gateway: String,
    /// For [`PROVISIONER_ROLE`].
    pub provisioner: String,
}

/// Prepares the cluster behind `superuser`; safe to call again (it then also sets the passwords).
///
/// # Errors
/// [`TenancyError::Database`] when the login is no superuser or a statement fails; [`TenancyError::Name`] for a
/// password with a character that would need quoting.
pub async fn prepare(
    superuser: &PgConnectOptions,
    passwords: &PlatformPasswords,
) -> Result<(), TenancyError> {
    for password in [&passwords.gateway, &passwords.provisioner] {
        check_password(password)?;
    }
    let failed = TenancyError::database("postgres");
    let mut connection = PgConnection::connect_with(superuser).await.map_err(&failed)?;
    run(&mut connection, &roles_sql(passwords)).await?;
    for database in [Database::Directory, Database::Operations, Database::Clinical] {
        create_database(&mut connection, database.name()).await?;
    }
    for name in ["postgres", "template1", "directory", "operations", "clinical"] {
        let mut inside =
            PgConnection::connect_with(&superuser.clone().database(name)).await.map_err(&failed)?;
        run(&mut inside, &lockdown_sql(name)).await?;
        inside.close().await.map_err(&failed)?;
    }
    connection.close().await.map_err(&failed)?;
    let provisioner = superuser.clone().username(PROVISIONER_ROLE).password(&passwords.provisioner);
    let mut directory =
        PgConnection::connect_with(&provisioner.database("directory")).await.map_err(&failed)?;
    let place = (Database::Directory, TenantKind::default());
    migrate_schema(&mut directory, place, DIRECTORY_SCHEMA, GATEWAY_ROLE).await?;
    directory.close().await.map_err(&failed)
}

fn check_password(password: &str) -> Result<(), TenancyError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if password.len() >= 20 && password.chars().all(plain) {
        return Ok(());
    }
    Err(TenancyError::Name {
        field: "platform password",
        value: "(hidden)".to_owned(),
        advice: "use at least 20 letters, digits, '-' or '_'",
    })
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), TenancyError> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(TenancyError::database("postgres"))
}

async fn create_database(connection: &mut PgConnection, name: &str) -> Result<(), TenancyError> {
    let exists = sqlx::query("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(&mut *connection)
        .await
        .map_err(TenancyError::database("postgres"))?
        .get::<i64, _>(0);
    if exists == 0 {
        run(connection, &format!("CREATE DATABASE {name} OWNER {OWNER_ROLE}")).await?;
    }
    Ok(())
}

fn roles_sql(passwords: &PlatformPasswords) -> String {
    let login = "LOGIN NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS";
    let ensure = |role: &str| {
        format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
               CREATE ROLE {role}; END IF; END $$;\n"
        )
    };
    [OWNER_ROLE, PROVISIONER_ROLE, GATEWAY_ROLE].map(ensure).concat()
        + &format!(
            "ALTER ROLE {OWNER_ROLE} NOLOGIN CREATEROLE NOSUPERUSER NOCREATEDB;
             ALTER ROLE {PROVISIONER_ROLE} {login} NOCREATEROLE PASSWORD '{provisioner}';
             ALTER ROLE {GATEWAY_ROLE} {login} NOCREATEROLE PASSWORD '{gateway}';
             GRANT {OWNER_ROLE} TO {PROVISIONER_ROLE};
             -- What the provisioner makes belongs to a role that nobody can log in as.
             ALTER ROLE {PROVISIONER_ROLE} SET role = '{OWNER_ROLE}';
             ALTER ROLE {GATEWAY_ROLE} SET search_path = '{DIRECTORY_SCHEMA}', 'pg_temp';",
            provisioner = passwords.provisioner,
            gateway = passwords.gateway,
        )
}

/// Takes from PUBLIC what Postgres gives to everybody: connecting, temporary tables, procedural code, and the
/// functions that reach across schemas (advisory locks, NOTIFY, large objects), and a look at what others do: sessions,
/// locks, counters of their tables (BARS X9). Members of `pg_monitor` keep that.
fn lockdown_sql(database: &str) -> String {
    let gateway = if database == "directory" {
        format!("GRANT CONNECT ON DATABASE {database} TO {GATEWAY_ROLE};")
    } else {
        String::new()
    };
    format!(
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC;
         GRANT CONNECT ON DATABASE {database} TO {OWNER_ROLE}, {PROVISIONER_ROLE};
         {gateway}
         REVOKE ALL ON SCHEMA public FROM PUBLIC;
         DO $$ DECLARE v regclass; f regprocedure; BEGIN
           FOR v IN SELECT oid::regclass FROM pg_class
             WHERE relnamespace = 'pg_catalog'::regnamespace AND (relname LIKE 'pg\\_stat\\_%' OR relname LIKE 'pg\\_statio\\_%'
                    OR relname IN ('pg_locks', 'pg_prepared_xacts', 'pg_db_role_setting'))
           LOOP
             EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC', v);
             EXECUTE format('GRANT SELECT ON TABLE %s TO pg_monitor, {OWNER_ROLE}', v);
           END LOOP;
           FOR f IN SELECT oid::regprocedure FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace
               AND (proname LIKE 'pg\\_stat\\_get\\_%' OR proname IN ('pg_lock_status', 'pg_prepared_xact'))
           LOOP
             EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
             EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO pg_monitor, {OWNER_ROLE}', f);
           END LOOP;
         END $$;
         REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
         GRANT USAGE ON LANGUAGE plpgsql TO {OWNER_ROLE};
         DO $$ DECLARE f regprocedure; BEGIN
           FOR f IN SELECT oid::regprocedure FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace
               AND (proname LIKE 'pg\\_advisory%' OR proname LIKE 'pg\\_try\\_advisory%' OR proname = 'pg_notify'
                    OR proname LIKE 'lo\\_%' OR proname IN ('loread', 'lowrite', 'pg_export_snapshot'))
           LOOP
             EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
             EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {OWNER_ROLE}', f);
           END LOOP;
         END $$;"
    )
}
