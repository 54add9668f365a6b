//! The catalogue lint (BARS T5): what must be true of a live database after every migration, whatever the migrations
//! say. Each rule is a query that lists its offenders.

use sqlx::{PgConnection, Row};

const RULES: &[(&str, &str)] = &[
    (
        "a login role has a privilege that no login may have",
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE ANY (ARRAY['t\\_%', 'carekeep\\_gateway'])
           AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)",
    ),
    (
        "a tenant's login is a member of another role",
        "SELECT m.rolname || ' in ' || g.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
           JOIN pg_roles g ON g.oid = a.roleid WHERE m.rolname LIKE 't\\_%' OR m.rolname = 'carekeep_gateway'",
    ),
    (
        "a tenant's login has no connection limit",
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 't\\_%' AND rolcanlogin AND rolconnlimit < 0",
    ),
    (
        "a tenant's login has no search_path of its own that ends with pg_temp",
        "SELECT r.rolname FROM pg_roles r WHERE r.rolname LIKE 't\\_%' AND has_database_privilege(r.rolname, current_database(), 'CONNECT')
           AND NOT EXISTS (SELECT 1 FROM pg_db_role_setting s, unnest(s.setconfig) c
             WHERE s.setrole = r.oid AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND c = 'search_path=' || left(r.rolname, -2) || ', pg_temp')",
    ),
    (
        "a tenant's login has changed its own defaults: create the tenant again",
        "SELECT r.rolname || ': ' || c FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
           WHERE r.rolname LIKE 't\\_%' AND split_part(c, '=', 1)
             NOT IN ('search_path', 'statement_timeout', 'idle_in_transaction_session_timeout')",
    ),
    (
        "PUBLIC may watch the sessions and counters of others",
        "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = 0 AND a.privilege_type = 'SELECT'
           AND c.relnamespace = 'pg_catalog'::regnamespace AND (c.relname LIKE 'pg\\_stat\\_%' OR c.relname LIKE 'pg\\_statio\\_%'
             OR c.relname IN ('pg_locks', 'pg_prepared_xacts', 'pg_db_role_setting'))
         UNION ALL SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           WHERE a.grantee = 0 AND p.pronamespace = 'pg_catalog'::regnamespace
             AND (p.proname LIKE 'pg\\_stat\\_get\\_%' OR p.proname IN ('pg_lock_status', 'pg_prepared_xact'))",
    ),
    (
        "a login owns something",
        "SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
           WHERE r.rolcanlogin AND NOT r.rolsuper AND c.relnamespace <> 'pg_toast'::regnamespace
         UNION ALL SELECT n.nspname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
           WHERE r.rolcanlogin AND NOT r.rolsuper",
    ),
    (
        "PUBLIC may use a schema",
        "SELECT nspname FROM pg_namespace, aclexplode(nspacl) a
           WHERE a.grantee = 0 AND nspname NOT IN ('pg_catalog', 'information_schema')",
    ),
    (
        "PUBLIC may connect or make temporary tables",
        "SELECT datname FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
           WHERE datname = current_database() AND a.grantee = 0",
    ),
    (
        "PUBLIC has a right on a table",
        "SELECT relname FROM pg_class, aclexplode(relacl) a WHERE a.grantee = 0
           AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)",
    ),
    (
        "PUBLIC may run a function of ours",
        "SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           WHERE a.grantee = 0 AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)",
    ),
    (
        "PUBLIC may write procedural code, take advisory locks or notify",
        "SELECT l.lanname FROM pg_language l, aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) a
           WHERE l.lanname = 'plpgsql' AND a.grantee = 0
         UNION ALL SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           WHERE a.grantee = 0 AND (p.proname LIKE 'pg\\_advisory%' OR p.proname LIKE 'pg\\_try\\_advisory%'
             OR p.proname LIKE 'lo\\_%' OR p.proname = 'pg_notify')",
    ),
    (
        "a SECURITY DEFINER function has no pinned search_path",
        "SELECT p.proname FROM pg_proc p WHERE p.prosecdef
           AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
           AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%pg_temp')",
    ),
    (
        "a tenant's login may see another tenant's schema",
        "SELECT r.rolname || ' sees ' || n.nspname FROM pg_roles r, pg_namespace n, aclexplode(n.nspacl) a
           WHERE r.rolname LIKE 't\\_%' AND a.grantee = r.oid AND n.nspname <> left(r.rolname, -2)",
    ),
    (
        "a tenant's login may change or remove audit entries",
        "SELECT r.rolname FROM pg_roles r JOIN pg_class c ON c.relname IN ('audit_entry', 'audit_checkpoint')
           JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = left(r.rolname, -2)
           WHERE r.rolname LIKE 't\\_%\\_c'
             AND (has_any_column_privilege(r.rolname, c.oid, 'UPDATE') OR has_table_privilege(r.rolname, c.oid, 'DELETE, TRUNCATE'))",
    ),
    (
        "a view runs with its owner's rights",
        "SELECT c.relname FROM pg_class c WHERE c.relkind = 'v'
           AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
           AND NOT coalesce(c.reloptions::text LIKE '%security_invoker=true%', false)",
    ),
];

/// Everything that breaks a rule in the connected database.
pub(crate) async fn findings(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let mut findings = Vec::new();
    for (rule, sql) in RULES {
        for row in sqlx::query(*sql).fetch_all(&mut *connection).await? {
            findings.push(format!("{rule}: {}", row.try_get::<String, _>(0)?));
        }
    }
    Ok(findings)
}
