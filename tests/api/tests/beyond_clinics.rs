//! I1, I3, I10: the people of the platform and of partners, who look after clinics and see nothing inside of them.

use carekeep_gateway::api::identity::first_admin_invite;
use carekeep_identity::storage::PgRepository;
use carekeep_kernel::TenantKind;
use carekeep_ledger::Entry;
use carekeep_policy::Role;
use carekeep_tenancy::{Database, NewTenant, TenancyError, TenantRecord};
use carekeep_testkit::{PersonSpec, Platform};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::{
    browser_run::{browser, caught_up},
    soft_keys::Key,
    support::{Clinic, PASSWORD, Program, settings},
};

const TENANTS: &str = "/api/v1/tenants";

/// Where the people are who look after clinics, beside two clinics of one partner.
struct World {
    clinic: Clinic,
    operators: TenantRecord,
    partner: TenantRecord,
}

/// Somebody with a passkey that is bound to a device.
struct Member {
    id: String,
    key: Key,
    program: Program,
}

impl World {
    async fn open() -> Self {
        let clinic = Clinic::open().await;
        let operators = clinic.platform.operators().await;
        let partner = clinic.platform.partner("northstar").await;
        clinic.vault.directory().refresh().await.unwrap();
        Self { clinic, operators, partner }
    }

    /// The first administrator of one of them, by the link that whoever makes the tenant gets.
    async fn founder(&self, of: &TenantRecord) -> Member {
        let first =
            first_admin_invite(&self.clinic.vault, of.id, "first.admin", "First Admin").await.unwrap();
        self.join(of, first.token.reveal()).await
    }

    /// What somebody does there with an invitation.
    async fn join(&self, of: &TenantRecord, token: &str) -> Member {
        let mut program = self.clinic.program(&of.slug);
        let step = program.post("/api/v1/invites/accept", &json!({"token": token})).await;
        let step = step.expect(StatusCode::OK);
        assert_eq!((&step["next"], &step["enrolled"]["passwords"]), (&json!("enrol"), &json!(false)));
        let key = Key::bound();
        self.register(of, &mut program, &key).await.unwrap();
        let me = program.get("/api/v1/me").await.expect(StatusCode::OK);
        Member { id: me["person"].as_str().unwrap().to_owned(), key, program }
    }

    /// Invites somebody, who joins; the operator of the machine is the second one who agrees.
    async fn member(&self, of: &TenantRecord, admin: &mut Member, login: &str, role: &str) -> Member {
        let body = json!({"login": login, "name": format!("Name of {login}"), "roles": [role]});
        let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
        let mut member = self.join(of, invited["token"].as_str().unwrap()).await;
        let people = PgRepository::open(&self.clinic.vault, of.id).await.unwrap();
        for request in invited["requests"].as_array().into_iter().flatten() {
            assert_eq!(member.program.get("/api/v1/me").await.expect(StatusCode::OK)["roles"], json!([]));
            people.decide_as_operator(request["id"].as_str().unwrap().parse().unwrap(), true).await.unwrap();
        }
        member.program = self.sign_in(of, &member, &member.key).await.unwrap();
        member
    }

    async fn register(&self, of: &TenantRecord, program: &mut Program, key: &Key) -> Result<(), String> {
        let begun = program.post("/api/v1/enrol/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
        let answer = key.register(&begun, &self.clinic.origin(&of.slug));
        let done = program.post("/api/v1/enrol/passkey/finish", &answer).await;
        if done.status.is_success() { Ok(()) } else { Err(done.code().to_owned()) }
    }

    async fn sign_in(&self, of: &TenantRecord, member: &Member, key: &Key) -> Result<Program, Value> {
        let mut program = self.clinic.program(&of.slug);
        let begun = program.post("/api/v1/sign-in/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
        let answer = key.sign(&begun, &self.clinic.origin(&of.slug), &member.id);
        let done = program.post("/api/v1/sign-in/passkey/finish", &answer).await;
        if done.status.is_success() { Ok(program) } else { Err(done.body) }
    }

    /// Runs statements as the databases' superuser; `{s}` is the schema of `of`.
    async fn sql(&self, of: &TenantRecord, database: &str, sql: &str) -> Result<(), sqlx::Error> {
        let pool = self.clinic.platform.superuser(database);
        let sql = sql.replace("{s}", &of.id.schema());
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await;
        pool.close().await;
        done.map(|_| ())
    }

    /// What the ledger of `of` says was done: action, kind, outcome, policies.
    async fn recorded(&self, of: &TenantRecord) -> Vec<(String, String, String, Vec<String>)> {
        let pool = self.clinic.platform.superuser("clinical");
        let sql = format!("SELECT entry FROM {}.audit_entry ORDER BY idx", of.id.schema());
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        pool.close().await;
        let entries = rows.iter().map(|row| Entry::decode(row.get(0)).unwrap());
        entries
            .map(|entry| (entry.action, entry.kind, format!("{:?}", entry.outcome), entry.policies))
            .collect()
    }
}

fn slugs(listed: &Value) -> Vec<&str> {
    listed["tenants"].as_array().unwrap().iter().map(|tenant| tenant["slug"].as_str().unwrap()).collect()
}

/// Those of one moment are in no order.
fn sorted<'a>(slugs: &[&'a str]) -> Vec<&'a str> {
    let mut sorted = slugs.to_vec();
    sorted.sort_unstable();
    sorted
}

#[tokio::test]
async fn i10_the_platform_and_partners_have_people_of_their_own_who_see_which_clinics_there_are() {
    let world = World::open().await;
    // A clinic of another partner, and one that is suspended.
    let platform = &world.clinic.platform;
    let southern = platform.partner("southern").await;
    let new = NewTenant { partner: Some("southern".to_owned()), ..Platform::new_tenant("dune") };
    platform.control.create(&new).await.unwrap();
    platform.control.set_suspended("bolt", true).await.unwrap();
    world.clinic.vault.directory().refresh().await.unwrap();

    let mut admin = world.founder(&world.operators).await;
    let mut operator = world.member(&world.operators, &mut admin, "olga.operator", "platform_operator").await;
    let listed = operator.program.get(TENANTS).await.expect(StatusCode::OK);
    let all = slugs(&listed);
    assert_eq!(sorted(&all), ["acme", "bolt", "dune"], "clinics only");
    let bolt = &listed["tenants"][all.iter().position(|slug| *slug == "bolt").unwrap()];
    assert_eq!(
        (&bolt["name"], &bolt["hosts"], &bolt["partner"], &bolt["region"], &bolt["state"]),
        (
            &json!("Clinic bolt"),
            &json!(["bolt.localhost"]),
            &json!("northstar"),
            &json!("eu-1"),
            &json!("suspended")
        )
    );
    assert!(bolt["created"].as_str().unwrap().starts_with("2023-11-14T"), "{bolt}");
    let page = operator.program.get(&format!("{TENANTS}?limit=2")).await.expect(StatusCode::OK);
    assert_eq!(slugs(&page), all[..2]);
    let next = format!("{TENANTS}?limit=2&after={}", page["next"].as_str().unwrap());
    let page = operator.program.get(&next).await.expect(StatusCode::OK);
    assert_eq!((slugs(&page), page.get("next")), (all[2..].to_vec(), None));
    assert_eq!(operator.program.get(&format!("{TENANTS}?after=x")).await.status, StatusCode::BAD_REQUEST);

    // Partners see their own.
    for (of, theirs) in [(&world.partner, ["acme", "bolt"].as_slice()), (&southern, &["dune"])] {
        let mut admin = world.founder(of).await;
        let mut partner = world.member(of, &mut admin, "petra.partner", "partner_admin").await;
        let listed = partner.program.get(TENANTS).await.expect(StatusCode::OK);
        assert_eq!(sorted(&slugs(&listed)), theirs);
        // Whoever runs the people there sees no clinics thereby.
        let refused = admin.program.get(TENANTS).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    }
    // Each look is in the ledger of those who looked.
    let looked = |entry: &&(String, String, String, Vec<String>)| entry.0 == "list_clinics";
    let recorded = world.recorded(&world.operators).await;
    let first = recorded.iter().find(looked).unwrap();
    assert_eq!((first.1.as_str(), first.2.as_str()), ("Clinic", "Permitted"));
    assert_eq!(first.3, ["platform_operator.clinics"]);
    let recorded = world.recorded(&southern).await;
    let outcomes: Vec<_> = recorded.iter().filter(looked).map(|entry| entry.2.as_str()).collect();
    assert_eq!(outcomes, ["Permitted", "Denied"]);
    world.clinic.close().await;
}

#[tokio::test]
async fn i10_who_looks_after_clinics_is_nobody_in_them_and_loses_the_list_within_a_second() {
    let world = World::open().await;
    let mut admin = world.founder(&world.operators).await;
    let mut operator = world.member(&world.operators, &mut admin, "olga.operator", "platform_operator").await;
    let mut clinician = world.clinic.admin().await;
    operator.program.get(TENANTS).await.expect(StatusCode::OK);
    // The session of one is nobody's at the host of another.
    for (slug, path) in [("acme", "/api/v1/me"), ("acme", "/fhir/R4/Patient"), ("northstar", TENANTS)] {
        let mut elsewhere = world.clinic.program(slug);
        elsewhere.token.clone_from(&operator.program.token);
        assert_eq!(elsewhere.get(path).await.status, StatusCode::UNAUTHORIZED, "{slug}{path}");
    }
    clinician.program.get("/api/v1/me").await.expect(StatusCode::OK);
    let mut elsewhere = world.clinic.program("platform");
    elsewhere.token.clone_from(&clinician.program.token);
    for path in ["/api/v1/me", TENANTS] {
        assert_eq!(elsewhere.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    // Two agree on giving it; one takes it.
    let path = format!("/api/v1/people/{}/roles/platform_operator", operator.id);
    admin.program.send(Method::DELETE, &path, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    operator.program.within_a_second(TENANTS, StatusCode::FORBIDDEN).await;
    let asked = admin.program.send(Method::PUT, &path, &Value::Null).await.expect(StatusCode::OK);
    assert_eq!(asked["state"], "requested");
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    assert_eq!(admin.program.post(&approve, &Value::Null).await.status, StatusCode::CONFLICT, "not alone");
    let mut officer = world.member(&world.operators, &mut admin, "vera.officer", "privacy_officer").await;
    officer.program.post(&approve, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    operator.program.within_a_second(TENANTS, StatusCode::OK).await;
    let suspend = format!("/api/v1/people/{}/suspend", operator.id);
    admin.program.post(&suspend, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    operator.program.within_a_second(TENANTS, StatusCode::UNAUTHORIZED).await;
    world.clinic.close().await;
}

#[tokio::test]
async fn i1_i3_who_looks_after_clinics_gets_in_by_a_device_bound_passkey_and_by_nothing_else() {
    let world = World::open().await;
    for of in [&world.operators, &world.partner] {
        let role = if of.kind == TenantKind::Platform { "platform_operator" } else { "partner_admin" };
        let mut admin = world.founder(of).await;
        let mut member = world.member(of, &mut admin, "olga.operator", role).await;
        // At enrolment, for whoever is there and for a newcomer with any role.
        let refused = world.register(of, &mut member.program, &Key::synced()).await;
        assert_eq!(refused, Err("passkey-not-allowed".to_owned()));
        let body = json!({"login": "new.auditor", "name": "New Auditor", "roles": ["auditor"]});
        let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
        let mut newcomer = world.clinic.program(&of.slug);
        let accept = json!({"token": invited["token"]});
        newcomer.post("/api/v1/invites/accept", &accept).await.expect(StatusCode::OK);
        let refused = world.register(of, &mut newcomer, &Key::synced()).await;
        assert_eq!(refused, Err("passkey-not-allowed".to_owned()));
        // There are no other ways in, whatever stage somebody is at.
        for program in [&mut newcomer, &mut member.program] {
            for (path, body) in [
                ("/api/v1/sign-in/password", json!({"login": "olga.operator", "password": PASSWORD})),
                ("/api/v1/sign-in/totp", json!({"code": "000000"})),
                ("/api/v1/sign-in/recovery-code", json!({"code": "ABCD-EFGH-JKLM-NPQR"})),
                ("/api/v1/enrol/password", json!({"password": PASSWORD})),
                ("/api/v1/enrol/totp/begin", Value::Null),
                ("/api/v1/enrol/totp/confirm", json!({"code": "000000"})),
                ("/api/v1/enrol/recovery-codes", Value::Null),
                ("/api/v1/federation", Value::Null),
            ] {
                assert_eq!(
                    program.post(path, &body).await.status,
                    StatusCode::NOT_FOUND,
                    "{}: {path}",
                    of.slug
                );
            }
        }
        world.register(of, &mut newcomer, &Key::bound()).await.unwrap();
        newcomer.get("/api/v1/me").await.expect(StatusCode::OK);
        // Nobody decides otherwise; more may be asked for.
        let wanted = settings(&json!({"passwords": true}));
        let put = admin.program.send(Method::PUT, "/api/v1/settings/sign-in", &wanted).await;
        assert_eq!((put.status, put.code()), (StatusCode::UNPROCESSABLE_ENTITY, "settings-not-allowed"));
        let said = json!({"passwords": false, "passkeys": {"auditor": "any", "platform_operator": "any"}});
        let put = admin.program.send(Method::PUT, "/api/v1/settings/sign-in", &settings(&said)).await;
        put.expect(StatusCode::NO_CONTENT);
        let refused = world.register(of, &mut newcomer, &Key::synced()).await;
        assert_eq!(refused, Err("passkey-not-allowed".to_owned()));
        // The control: what counts gets in, and confirms.
        world.sign_in(of, &member, &member.key).await.unwrap();
        member.program.get(TENANTS).await.expect(StatusCode::OK);
    }
    world.clinic.close().await;
}

#[tokio::test]
async fn i1_i3_a_synchronised_passkey_that_got_there_all_the_same_is_refused_at_use() {
    let world = World::open().await;
    let of = &world.operators;
    let mut admin = world.founder(of).await;
    let member = world.member(of, &mut admin, "olga.operator", "platform_operator").await;
    let mut session = world.sign_in(of, &member, &member.key).await.unwrap();
    // As if it had been a clinic when the passkey was registered, with a role of which nothing is said.
    let kind = |kind: &str, partner: &str| {
        format!("UPDATE directory.tenant SET kind = '{kind}', partner = {partner} WHERE id = '{}'", of.id)
    };
    let clinic = kind("clinic", "(SELECT id FROM directory.partner LIMIT 1)");
    let roles = |sign: &str| {
        format!("UPDATE {{s}}.role_grant SET revoked_at = {sign} WHERE person = '{}'", member.id)
    };
    world.sql(of, "directory", &clinic).await.unwrap();
    world.sql(of, "operations", &roles("now()")).await.unwrap();
    world.clinic.vault.directory().refresh().await.unwrap();
    let synced = Key::synced();
    world.register(of, &mut session, &synced).await.unwrap();
    world.sign_in(of, &member, &synced).await.unwrap();
    world.sql(of, "directory", &kind("platform", "NULL")).await.unwrap();
    world.clinic.vault.directory().refresh().await.unwrap();
    // Without any role, and with it.
    for sign in ["now()", "NULL"] {
        world.sql(of, "operations", &roles(sign)).await.unwrap();
        let refused = world.sign_in(of, &member, &synced).await.err().unwrap();
        assert_eq!(
            (&refused["code"], &refused["needs"]),
            (&json!("passkey-not-allowed"), &json!("device-bound"))
        );
        let begun = session.post("/api/v1/step-up/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
        let answer = synced.sign(&begun, &world.clinic.origin(&of.slug), &member.id);
        let stepped = session.post("/api/v1/step-up/passkey/finish", &answer).await;
        assert!(stepped.status.is_client_error(), "{}", stepped.text);
        world.sign_in(of, &member, &member.key).await.unwrap();
    }
    world.clinic.close().await;
}

#[tokio::test]
async fn i3_a_login_of_such_a_tenant_can_store_no_other_factor_and_has_no_table_for_health_data() {
    let world = World::open().await;
    let platform = &world.clinic.platform;
    for (of, clinic) in [(&world.operators, false), (&world.partner, false), (&world.clinic.acme, true)] {
        let login = platform.tenant_login(of.id, Database::Operations).await;
        let pool = sqlx::postgres::PgPoolOptions::new().connect_with(login).await.unwrap();
        for table in ["password", "totp", "recovery_code", "provisioning_token", "identity_provider"] {
            let asked = format!("SELECT has_any_column_privilege(current_user, '{table}', 'INSERT')");
            let may: bool = sqlx::query(AssertSqlSafe(asked)).fetch_one(&pool).await.unwrap().get(0);
            assert_eq!(may, clinic, "{}: {table}", of.slug);
        }
        pool.close().await;
        let pool = platform.superuser("clinical");
        let sql = "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_tables WHERE schemaname = $1";
        let tables: Vec<String> =
            sqlx::query(sql).bind(of.id.schema()).fetch_one(&pool).await.unwrap().get(0);
        pool.close().await;
        let ledger = ["audit_checkpoint", "audit_entry", "schema_version"];
        assert_eq!(tables == ledger, !clinic, "{}: {tables:?}", of.slug);
    }
    for database in [Database::Directory, Database::Operations, Database::Clinical] {
        platform.control.lint(database).await.unwrap();
    }
    world.clinic.close().await;
}

#[tokio::test]
async fn i10_roles_are_given_only_where_they_belong() {
    let world = World::open().await;
    let mut clinic = world.clinic.admin().await;
    let mut platform = world.founder(&world.operators).await;
    let mut partner = world.founder(&world.partner).await;
    let programs = [
        (TenantKind::Clinic, &mut clinic.program),
        (TenantKind::Platform, &mut platform.program),
        (TenantKind::Partner, &mut partner.program),
    ];
    for (kind, program) in programs {
        let body = json!({"login": "some.body", "name": "Some Body", "roles": ["auditor"]});
        let made = program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
        let person = made["person"].as_str().unwrap();
        for role in Role::ALL {
            // Given from a chart, with a token, or to a program.
            let by_hand = !matches!(role, Role::Patient | Role::Provisioner | Role::RecordsReader);
            let belongs = role.belongs_in(kind) && by_hand;
            let login = format!("some.{}", role.as_str());
            let body = json!({"login": login, "name": "Some Body", "roles": [role.as_str()]});
            let invited = program.post("/api/v1/people", &body).await;
            assert_eq!(invited.status.is_success(), belongs, "{kind}: invite {role}: {}", invited.text);
            let path = format!("/api/v1/people/{person}/roles/{role}");
            let granted = program.send(Method::PUT, &path, &Value::Null).await;
            assert_eq!(granted.status.is_success(), belongs, "{kind}: grant {role}: {}", granted.text);
            if !role.belongs_in(kind) {
                assert_eq!(
                    (invited.code(), granted.code()),
                    ("roles-not-allowed", "roles-not-allowed"),
                    "{kind}: {role}"
                );
            }
        }
    }
    // Nor by a row that somebody writes past the API.
    for of in [&world.clinic.acme, &world.operators, &world.partner] {
        let spec = PersonSpec { roles: &[], ..PersonSpec::default() };
        let person = world.clinic.platform.person(of.id, spec).await.id;
        for role in Role::ALL {
            let grant = format!(
                "INSERT INTO {{s}}.role_grant (id, person, role, granted_at) VALUES (gen_random_uuid(), '{person}', '{role}', now())"
            );
            let written = world.sql(of, "operations", &grant).await;
            assert_eq!(written.is_ok(), role.belongs_in(of.kind), "{}: {role}: {written:?}", of.slug);
        }
        let patient = format!("UPDATE {{s}}.person SET patient = gen_random_uuid() WHERE id = '{person}'");
        let written = world.sql(of, "operations", &patient).await;
        assert_eq!(written.is_ok(), of.kind == TenantKind::Clinic, "{}: {written:?}", of.slug);
    }
    world.clinic.close().await;
}

#[tokio::test]
async fn i10_the_platform_has_one_tenant_of_its_own_and_so_has_each_partner_and_none_becomes_another() {
    let world = World::open().await;
    let control = &world.clinic.platform.control;
    let new = |slug: &str, kind, partner: Option<&str>| NewTenant {
        kind,
        partner: partner.map(str::to_owned),
        ..Platform::new_tenant(slug)
    };
    let taken = |made: Result<TenantRecord, TenancyError>, wanted: &str| matches!(made, Err(TenancyError::Taken { what, .. }) if what == wanted);
    let north = Some("northstar");
    assert!(taken(control.create(&new("second", TenantKind::Platform, None)).await, "kind"));
    assert!(taken(control.create(&new("second", TenantKind::Partner, north)).await, "kind"));
    assert!(taken(control.create(&new("northstar", TenantKind::Clinic, north)).await, "slug"));
    let southern = control.ensure_partner("southern", "Southern Care").await.map(|_| Some("southern"));
    assert!(taken(control.create(&new("acme", TenantKind::Partner, southern.unwrap())).await, "slug"));
    for wrong in [new("third", TenantKind::Platform, north), new("third", TenantKind::Clinic, None)] {
        let made = control.create(&wrong).await;
        assert!(matches!(made, Err(TenancyError::Name { field: "partner", .. })), "{made:?}");
    }
    assert!(matches!(control.show("second").await, Err(TenancyError::Unknown(_))), "nothing is left");
    // The controls: again is the same, and another partner's is made.
    assert_eq!(world.clinic.platform.operators().await, world.operators);
    assert_eq!(world.clinic.platform.partner("southern").await.kind, TenantKind::Partner);
    assert_eq!(control.migrate_all(2, |_, _| ()).await.unwrap(), 5);
    world.clinic.close().await;
}

#[tokio::test]
async fn bar_a1_while_the_ledger_refuses_nobody_sees_which_clinics_there_are() {
    let world = World::open().await;
    let mut admin = world.founder(&world.operators).await;
    let mut operator = world.member(&world.operators, &mut admin, "olga.operator", "platform_operator").await;
    operator.program.get(TENANTS).await.expect(StatusCode::OK);
    let (revoke, grant) =
        ("REVOKE INSERT ON {s}.audit_entry FROM {s}_c", "GRANT INSERT ON {s}.audit_entry TO {s}_c");
    world.sql(&world.operators, "clinical", revoke).await.unwrap();
    let refused = operator.program.get(TENANTS).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert!(
        !refused.text.contains("acme") && refused.headers.contains_key("retry-after"),
        "{}",
        refused.text
    );
    world.sql(&world.operators, "clinical", grant).await.unwrap();
    let began = std::time::Instant::now();
    while operator.program.get(TENANTS).await.status != StatusCode::OK {
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "still refused");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.clinic.close().await;
}

#[tokio::test]
async fn i1_i3_i10_who_looks_after_clinics_joins_looks_and_signs_in_in_a_browser() {
    let world = World::open().await;
    let clock = caught_up(&world.clinic).await;
    let mut admin = world.founder(&world.operators).await;
    let body = json!({"login": "olga.operator", "name": "Olga Operator", "roles": ["platform_operator"]});
    let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    // The second one agrees as soon as the person has joined.
    let people = PgRepository::open(&world.clinic.vault, world.operators.id).await.unwrap();
    let request = invited["requests"][0]["id"].as_str().unwrap().parse().unwrap();
    let agreeing = tokio::spawn(async move {
        while people.decide_as_operator(request, true).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    let knows = json!({
        "base": world.clinic.origin("platform"), "link": invited["link"],
        "clinics": ["Clinic acme (acme)", "Clinic bolt (bolt)"],
    });
    let path = world.clinic.folder("world.json");
    std::fs::write(&path, knows.to_string()).unwrap();
    browser("beyond.mjs", "beyond", &path).await;
    agreeing.await.unwrap();
    clock.abort();
    world.clinic.close().await;
}
