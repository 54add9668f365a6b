//! BARS A1 through the gateway: while the audit cannot be written, no route gives a byte of health data or changes
//! anything, each answers 503 in time, and works again soon after.

mod ways_in;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use carekeep_gateway::{
    api,
    limits::{LaneLimit, LimiterConfig},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use self::ways_in::WaysIn;
use crate::support::{Answer, Clinic, Member, settings};

/// The longest that a refusal may take, and the longest until everything works again.
/// Staff, below the address of SCIM.
const USERS: &str = "/Users";
const LIMIT: Duration = Duration::from_secs(5);
/// Stands in every record, and in the name of everybody.
const CANARY: &str = "Zyxwvandermolen";
const IDENTIFIER: &str = "urn:example:mrn|Zyxwvandermolen-7719";

const TOKENS: &str = "/api/v1/provisioning-tokens";

const PROVIDER: &str = "/api/v1/settings/identity-provider";

/// What is asked: the route's name, and the variant of it.
type Ask = (&'static str, &'static str);

/// Every route that shows or changes health data or people, in each of its variants.
const ASKS: [Ask; 50] = [
    ("fhir.read", ""),
    ("fhir.version_read", ""),
    ("fhir.history", ""),
    ("fhir.search", ""),
    ("fhir.search_form", ""),
    ("fhir.create", ""),
    ("fhir.create", "unless it is there"),
    ("fhir.update", ""),
    ("fhir.delete", ""),
    ("fhir.bundle", "transaction"),
    ("fhir.bundle", "batch"),
    ("people.list", ""),
    ("people.weak_factors", ""),
    ("people.invite", ""),
    ("people.invite_again", ""),
    ("people.grant_role", ""),
    ("people.revoke_role", ""),
    ("people.suspend", ""),
    ("people.reinstate", ""),
    ("people.remove", ""),
    ("people.clear_devices", ""),
    ("people.recover", ""),
    ("recoveries.list", ""),
    ("role_requests.list", ""),
    ("settings.sign_in", ""),
    ("settings.put_sign_in", ""),
    ("settings.put_identity_provider", ""),
    ("settings.identity_provider", ""),
    ("settings.remove_identity_provider", ""),
    ("patients.invite", ""),
    ("patients.recover", ""),
    ("care_team.assign", ""),
    ("care_team.relieve", ""),
    ("apps.list", ""),
    ("apps.register", ""),
    ("consent.decide", ""),
    ("launch.open", ""),
    ("provisioning_tokens.list", ""),
    ("provisioning_tokens.create", ""),
    ("provisioning_tokens.revoke", ""),
    ("scim.list_users", ""),
    ("scim.read_user", ""),
    ("scim.create_user", ""),
    ("scim.replace_user", ""),
    ("scim.patch_user", ""),
    ("scim.delete_user", ""),
    ("scim.list_groups", ""),
    ("scim.read_group", ""),
    ("scim.replace_group", ""),
    ("scim.patch_group", ""),
];

/// All that is asked.
fn asks() -> impl Iterator<Item = Ask> {
    ASKS.into_iter().chain(ways_in::ASKS)
}

struct Scene {
    ways_in: WaysIn,
    clinic: Clinic,
    admin: Member,
    doctor: Member,
    manager: Member,
    /// Who is given and loses roles, and may come and go.
    colleague: Member,
    leaver: Member,
    /// Somebody who was invited and has not come.
    invited: String,
    patient: String,
    /// One who has an account.
    joined: String,
    /// An observation to delete, a user, and a provisioning token.
    spare: String,
    spare_user: String,
    spare_token: String,
    /// What an identity provider presents.
    provisioning: String,
    /// The query by which an app asks for access, and the app.
    consent: String,
    app: String,
    /// For login names that are new each time.
    asked: usize,
}

fn patient(id: Option<&str>) -> Value {
    let (system, value) = IDENTIFIER.split_once('|').unwrap();
    let mut patient = json!({"resourceType": "Patient", "name": [{"family": CANARY}],
        "identifier": [{"system": system, "value": value}]});
    if let Some(id) = id {
        patient["id"] = json!(id);
    }
    patient
}

fn observation(patient: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": CANARY},
        "subject": {"reference": format!("Patient/{patient}")}})
}

fn bundle(kind: &str, patient: &str) -> Value {
    let entry =
        json!({"resource": observation(patient), "request": {"method": "POST", "url": "Observation"}});
    json!({"resourceType": "Bundle", "type": kind, "entry": [entry, entry]})
}

fn spare_token() -> Value {
    json!({"name": "spare"})
}

fn app() -> Value {
    json!({"client_name": "App", "token_endpoint_auth_method": "none", "scope": "launch user/*.rs",
        "redirect_uris": ["https://app.example/cb"], "initiate_login_uri": "https://app.example/launch"})
}

impl Scene {
    async fn set() -> Self {
        // Each round gives codes, and all of them come from one address.
        let often = LaneLimit::per_seconds(100_000, 60);
        let clinic = Clinic::open_with(&LimiterConfig {
            address: often,
            principal: often,
            sign_in_address: often,
            sign_in_account: often,
            ..LimiterConfig::new([1; 32])
        })
        .await;
        let mut admin = clinic.admin().await;
        let ways_in = WaysIn::set(&clinic, &mut admin).await;
        let mut doctor = clinic.member(&mut admin, &format!("dr.{CANARY}"), &["clinician"]).await;
        let manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await;
        let made = doctor.program.post("/fhir/R4/Patient", &patient(None)).await.expect(StatusCode::CREATED);
        let patient = made["id"].as_str().unwrap().to_owned();
        let colleague = clinic.member(&mut admin, "colleague", &["auditor"]).await;
        let leaver = clinic.member(&mut admin, "leaver", &["auditor"]).await;
        let body = json!({"login": "not.yet", "name": CANARY, "roles": ["nurse"]});
        let made = doctor.program.post("/fhir/R4/Patient", &json!({"resourceType": "Patient"})).await;
        let joined = made.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/patients/{joined}/account");
        let account = json!({"login": "pat", "name": CANARY});
        let made = doctor.program.post(&path, &account).await.expect(StatusCode::CREATED);
        clinic.join("pat", made["token"].as_str().unwrap()).await;
        let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
        let invited = invited["person"].as_str().unwrap().to_owned();
        let made = admin.program.post("/api/v1/apps", &app()).await.expect(StatusCode::CREATED);
        let client = made["client_id"].as_str().unwrap();
        let approve = format!("/api/v1/apps/{client}/approve");
        admin.program.post(&approve, &Value::Null).await.expect(StatusCode::NO_CONTENT);
        let consent = format!(
            "response_type=code&client_id={client}&redirect_uri=https://app.example/cb&scope=user/*.rs&state=s&aud={}/fhir/R4\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
            clinic.origin("acme")
        );
        let made = admin.program.post(TOKENS, &json!({"name": "Provider"})).await.expect(StatusCode::CREATED);
        let provisioning = made["token"].as_str().unwrap().to_owned();
        let (spare, asked) = (String::new(), 0);
        let mut scene = Self {
            ways_in,
            clinic,
            admin,
            doctor,
            manager,
            colleague,
            leaver,
            invited,
            patient,
            joined,
            spare,
            spare_user: String::new(),
            spare_token: String::new(),
            provisioning,
            consent,
            app: client.to_owned(),
            asked,
        };
        scene.put_spare().await;
        scene
    }

    async fn put_spare(&mut self) {
        // One recovery of a person is under way at a time: the next round begins its own.
        self.clinic.as_superuser("operations", "DELETE FROM {s}.account_recovery").await;
        let spare = observation(&self.patient);
        let made = self.doctor.program.post("/fhir/R4/Observation", &spare).await.expect(StatusCode::CREATED);
        self.spare = made["id"].as_str().unwrap().to_owned();
        self.asked += 1;
        let user = json!({"userName": format!("spare.{}", self.asked)});
        let made = Answer::of(self.provider(Method::POST, "/Users").json(&user)).await;
        self.spare_user = made.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned();
        // There may be three of them.
        let spares = "UPDATE {s}.provisioning_token SET revoked_at = now() WHERE name = 'spare'";
        self.clinic.as_superuser("operations", spares).await;
        let made = self.admin.program.post(TOKENS, &spare_token()).await.expect(StatusCode::CREATED);
        self.spare_token = made["id"].as_str().unwrap().to_owned();
        self.ways_in.renew(&self.clinic, &mut self.admin).await;
    }

    /// A request of the identity provider.
    fn provider(&self, method: Method, path: &str) -> RequestBuilder {
        let program = &self.admin.program;
        program
            .http
            .request(method, format!("{}/scim/v2{path}", program.base))
            .bearer_auth(&self.provisioning)
    }

    fn provision(&self, route: &str) -> RequestBuilder {
        let (colleague, doctor) = (&self.colleague.id, &self.doctor.id);
        let patch = |operation: Value| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
        let members = json!([{"value": colleague}]);
        match route {
            "scim.list_users" => self.provider(Method::GET, "/Users"),
            "scim.read_user" => self.provider(Method::GET, &format!("{USERS}/{doctor}")),
            "scim.create_user" => {
                let body = json!({"userName": format!("new.{}", self.asked), "displayName": CANARY});
                self.provider(Method::POST, "/Users").json(&body)
            }
            "scim.replace_user" => {
                let body = json!({"userName": format!("dr.{CANARY}"), "displayName": CANARY});
                self.provider(Method::PUT, &format!("{USERS}/{doctor}")).json(&body)
            }
            "scim.patch_user" => {
                let name = json!({"op": "replace", "path": "displayName", "value": format!("{CANARY} {}", self.asked)});
                self.provider(Method::PATCH, &format!("{USERS}/{colleague}")).json(&patch(name))
            }
            "scim.delete_user" => self.provider(Method::DELETE, &format!("{USERS}/{}", self.spare_user)),
            "scim.list_groups" => self.provider(Method::GET, "/Groups"),
            "scim.read_group" => self.provider(Method::GET, "/Groups/nurse"),
            "scim.replace_group" => {
                let body = json!({"displayName": "support", "members": members});
                self.provider(Method::PUT, "/Groups/support").json(&body)
            }
            "scim.patch_group" => {
                let add = json!({"op": "add", "path": "members", "value": members});
                self.provider(Method::PATCH, "/Groups/nurse").json(&patch(add))
            }
            other => panic!("{other:?} is no request here"),
        }
    }

    async fn request(&mut self, ask: Ask) -> RequestBuilder {
        if ways_in::ASKS.contains(&ask) {
            return self.ways_in.request(&self.clinic, ask.0).await;
        }
        self.request_here(ask)
    }

    fn request_here(&mut self, (route, variant): Ask) -> RequestBuilder {
        self.asked += 1;
        let patient = &self.patient;
        let at = |member: &Member, method, path: &str| {
            let program = &member.program;
            let url = format!("{}{path}", program.base);
            program.http.request(method, url).bearer_auth(program.token.as_ref().unwrap())
        };
        let fhir = |method, path: &str| at(&self.doctor, method, &format!("/fhir/R4{path}"));
        match (route, variant) {
            ("fhir.read", _) => fhir(Method::GET, &format!("/Patient/{patient}")),
            ("fhir.version_read", _) => fhir(Method::GET, &format!("/Patient/{patient}/_history/1")),
            ("fhir.history", _) => fhir(Method::GET, &format!("/Patient/{patient}/_history")),
            ("fhir.search", _) => fhir(Method::GET, "/Patient?family=zyxw"),
            ("fhir.search_form", _) => fhir(Method::POST, "/Patient/_search")
                .header("content-type", "application/x-www-form-urlencoded")
                .body("family=zyxw"),
            ("fhir.create", "") => fhir(Method::POST, "/Observation").json(&observation(patient)),
            ("fhir.create", _) => fhir(Method::POST, "/Patient")
                .header("if-none-exist", format!("identifier={IDENTIFIER}"))
                .json(&self::patient(None)),
            ("fhir.update", _) => {
                fhir(Method::PUT, &format!("/Patient/{patient}")).json(&self::patient(Some(patient)))
            }
            ("fhir.delete", _) => fhir(Method::DELETE, &format!("/Observation/{}", self.spare)),
            ("fhir.bundle", kind) => fhir(Method::POST, "").json(&bundle(kind, patient)),
            ("people.weak_factors", _) => at(&self.admin, Method::GET, "/api/v1/people/weak-factors"),
            ("people.list", _) => at(&self.admin, Method::GET, "/api/v1/people"),
            ("people.invite", _) => {
                let body =
                    json!({"login": format!("new.{}", self.asked), "name": CANARY, "roles": ["nurse"]});
                at(&self.admin, Method::POST, "/api/v1/people").json(&body)
            }
            ("people.invite_again", _) => {
                let path = format!("/api/v1/people/{}/invite", self.invited);
                at(&self.admin, Method::POST, &path).json(&json!({"roles": ["nurse"]}))
            }
            ("people.grant_role", _) => {
                let path = format!("/api/v1/people/{}/roles/reception", self.colleague.id);
                at(&self.admin, Method::PUT, &path)
            }
            ("people.revoke_role", _) => {
                let path = format!("/api/v1/people/{}/roles/billing", self.colleague.id);
                at(&self.admin, Method::DELETE, &path)
            }
            ("people.suspend" | "people.reinstate", _) => {
                let what = route.trim_start_matches("people.");
                at(&self.admin, Method::POST, &format!("/api/v1/people/{}/{what}", self.colleague.id))
            }
            ("people.remove", _) => {
                at(&self.admin, Method::DELETE, &format!("/api/v1/people/{}", self.leaver.id))
            }
            ("people.clear_devices", _) => {
                at(&self.admin, Method::DELETE, &format!("/api/v1/people/{}/devices", self.colleague.id))
            }
            ("people.recover", _) => {
                at(&self.admin, Method::POST, &format!("/api/v1/people/{}/recovery", self.doctor.id))
            }
            ("recoveries.list", _) => at(&self.admin, Method::GET, "/api/v1/recoveries"),
            ("role_requests.list", _) => at(&self.admin, Method::GET, "/api/v1/role-requests"),
            ("settings.sign_in", _) => at(&self.admin, Method::GET, "/api/v1/settings/sign-in"),
            ("settings.put_sign_in", _) => {
                at(&self.admin, Method::PUT, "/api/v1/settings/sign-in").json(&settings(&json!({})))
            }
            ("settings.identity_provider", _) => at(&self.admin, Method::GET, PROVIDER),
            ("settings.put_identity_provider", _) => {
                let provider =
                    json!({"issuer": "https://id.example", "client_id": "c", "label": "Acme account"});
                at(&self.admin, Method::PUT, PROVIDER).json(&provider)
            }
            ("settings.remove_identity_provider", _) => at(&self.admin, Method::DELETE, PROVIDER),
            ("patients.invite", _) => {
                let body = json!({"login": format!("patient.{}", self.asked), "name": CANARY});
                at(&self.doctor, Method::POST, &format!("/api/v1/patients/{patient}/account")).json(&body)
            }
            ("patients.recover", _) => {
                let path = format!("/api/v1/patients/{}/account/recovery", self.joined);
                at(&self.doctor, Method::POST, &path).json(&json!({"identified_by": "photo_id"}))
            }
            ("care_team.assign" | "care_team.relieve", _) => {
                let path = format!("/api/v1/patients/{patient}/care-team/{}", self.admin.id);
                let method = if route == "care_team.assign" { Method::PUT } else { Method::DELETE };
                at(&self.manager, method, &path)
            }
            ("apps.list", _) => at(&self.admin, Method::GET, "/api/v1/apps"),
            ("apps.register", _) => at(&self.admin, Method::POST, "/api/v1/apps").json(&app()),
            ("consent.decide", _) => {
                let body = json!({"request": self.consent, "allow": true});
                at(&self.doctor, Method::POST, "/api/v1/consent").json(&body)
            }
            ("launch.open", _) => {
                let path = format!("/api/v1/apps/{}/launch", self.app);
                at(&self.doctor, Method::POST, &path).json(&json!({"patient": patient}))
            }
            ("provisioning_tokens.list", _) => at(&self.admin, Method::GET, TOKENS),
            ("provisioning_tokens.create", _) => at(&self.admin, Method::POST, TOKENS).json(&spare_token()),
            ("provisioning_tokens.revoke", _) => {
                at(&self.admin, Method::DELETE, &format!("{TOKENS}/{}", self.spare_token))
            }
            (scim, _) => self.provision(scim),
        }
    }

    /// Everything at once.
    async fn ask_all(&mut self) -> Vec<(Ask, Answer, Duration)> {
        let mut requests = Vec::new();
        for ask in asks() {
            requests.push(self.request(ask).await);
        }
        let one = async |request| {
            let began = Instant::now();
            (Answer::of(request).await, began.elapsed())
        };
        let answers = futures_util::future::join_all(requests.into_iter().map(one)).await;
        let answers: Vec<_> = asks().zip(answers).map(|(ask, (answer, took))| (ask, answer, took)).collect();
        answers.iter().for_each(|(ask, answer, _)| self.ways_in.keep(ask.0, answer));
        answers
    }

    /// The control: all of it works, and what is read has the canary in it.
    async fn all_work(&mut self) {
        for (ask, answer, _) in self.ask_all().await {
            assert!(answer.status.is_success(), "{ask:?}: {} {}", answer.status, answer.text);
            let scim = matches!(ask.0.strip_prefix("scim."), Some(route) if route.ends_with("_user") || route == "list_users");
            let reads = matches!(ask.0, "people.list" | "people.weak_factors")
                || (scim && ask.0 != "scim.delete_user")
                || (ask.0.starts_with("fhir.") && !matches!(ask.0, "fhir.delete" | "fhir.bundle"));
            assert_eq!(answer.text.contains(CANARY), reads, "{ask:?}: {}", answer.text);
        }
        self.put_spare().await;
    }

    async fn all_refused(&mut self, fault: &str) {
        let mut slowest = Duration::ZERO;
        for (ask, answer, took) in self.ask_all().await {
            let Answer { status, headers, text, .. } = &answer;
            assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE, "{fault}: {ask:?}: {text}");
            assert!(took < LIMIT, "{fault}: {ask:?} took {took:?}");
            assert!(
                headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1,
                "{fault}: {ask:?}"
            );
            let said = format!("{headers:?}{text}").to_lowercase();
            assert!(!said.contains("zyxw") && !said.contains(&self.patient), "{fault}: {ask:?}: {said}");
            assert!(said.contains("again"), "{fault}: {ask:?} says what to do: {said}");
            let fhir = answer.body["resourceType"] == "OperationOutcome";
            assert_eq!(fhir, ask.0.starts_with("fhir."), "{fault}: {ask:?}: {text}");
            slowest = slowest.max(took);
        }
        let count = asks().count();
        println!("{fault}: {count} requests refused, the slowest after {slowest:.1?}");
    }

    async fn all_work_again(&mut self, fault: &str) {
        let back = Instant::now();
        for ask in asks() {
            loop {
                let answer = Answer::of(self.request(ask).await).await;
                self.ways_in.keep(ask.0, &answer);
                if answer.status.is_success() {
                    break;
                }
                let late = format!("{fault}: {ask:?} is still refused: {}", answer.text);
                assert!(answer.status == StatusCode::SERVICE_UNAVAILABLE && back.elapsed() < LIMIT, "{late}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        println!("{fault}: all work {:.1?} after it was mended", back.elapsed());
        self.put_spare().await;
    }

    /// What a request may change.
    async fn written(&self) -> ([i64; 5], String) {
        (self.clinic.written().await, ways_in::fingerprint(&self.clinic).await)
    }

    async fn sql(&self, sql: &str) {
        let sql = sql.replace("{s}", &self.clinic.acme.id.schema());
        let pool = self.clinic.platform.superuser("clinical");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// A fault that SQL makes and SQL takes back.
    async fn with_fault(&mut self, fault: &str, make: &str, mend: &str) {
        let before = self.written().await;
        self.sql(make).await;
        self.all_refused(fault).await;
        assert_eq!(self.written().await, before, "{fault}: something was changed");
        self.sql(mend).await;
        self.all_work_again(fault).await;
    }

    /// A lock on the ledger in a transaction of its own: whoever inserts waits.
    async fn lock(&self) -> PgConnection {
        let mut blocker = self.clinic.platform.superuser("clinical").acquire().await.unwrap().detach();
        let schema = self.clinic.acme.id.schema();
        let lock = format!("BEGIN; LOCK TABLE {schema}.audit_entry IN ACCESS EXCLUSIVE MODE");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut blocker).await.unwrap();
        blocker
    }
}

/// Insert fails with an SQLSTATE.
const RAISE: &str = "CREATE FUNCTION {s}.broken() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = '{code}'; END $$;
    GRANT EXECUTE ON FUNCTION {s}.broken() TO PUBLIC;
    CREATE TRIGGER broken BEFORE INSERT ON {s}.audit_entry FOR EACH ROW EXECUTE FUNCTION {s}.broken()";
const NO_RAISE: &str = "DROP TRIGGER broken ON {s}.audit_entry; DROP FUNCTION {s}.broken()";

#[test]
fn bar_a1_every_route_with_health_data_or_people_is_asked() {
    let asked: BTreeSet<&str> = asks().map(|ask| ask.0).collect();
    for endpoint in api::endpoints() {
        let areas = [
            "fhir.",
            "people.",
            "patients.",
            "care_team.",
            "settings.",
            "recoveries.",
            "recovery.cancel",
            "recovery.redeem",
            // What begins an enrolment changes no way in.
            "enrol.password",
            "enrol.totp_confirm",
            "enrol.passkey_finish",
            "enrol.recovery_codes",
            // A name is no way in.
            "devices.confirm",
            "devices.forget",
            "consent.decide",
            "launch.open",
            "apps.list",
            "apps.register",
            "provisioning_tokens.",
            "scim.list",
            "scim.read",
            "scim.create",
            "scim.replace",
            "scim.patch",
            "scim.delete",
        ];
        let counts = areas.iter().any(|area| endpoint.name.starts_with(area));
        // What the server can do is told to everybody, and is no health data. Whoever agrees to a provider cannot be asked at the same
        // moment as whoever sets another one: `i12_without_its_entry_in_the_ledger_nobody_agrees`.
        let counts =
            counts && !matches!(endpoint.name, "fhir.capabilities" | "settings.agree_identity_provider");
        assert!(!counts || asked.contains(endpoint.name), "{} is not asked under faults", endpoint.name);
    }
    let known: BTreeSet<&str> = api::endpoints().iter().map(|endpoint| endpoint.name).collect();
    assert!(asked.is_subset(&known), "{asked:?}");
}

#[tokio::test]
async fn bar_a1_an_audit_that_refuses_gives_no_byte_and_changes_nothing() {
    let mut scene = Scene::set().await;
    scene.all_work().await;
    for (fault, code) in [("insert fails", "P0001"), ("disk is full", "53100")] {
        scene.with_fault(fault, &RAISE.replace("{code}", code), NO_RAISE).await;
    }
    let (revoke, grant) =
        ("REVOKE INSERT ON {s}.audit_entry FROM {s}_c", "GRANT INSERT ON {s}.audit_entry TO {s}_c");
    scene.with_fault("grant revoked", revoke, grant).await;
    // The statement succeeds and the commit does not.
    let deferred = RAISE
        .replace("{code}", "40001")
        .replace("CREATE TRIGGER broken BEFORE INSERT", "CREATE CONSTRAINT TRIGGER broken AFTER INSERT")
        .replace("FOR EACH ROW", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW");
    scene.with_fault("commit fails", &deferred, NO_RAISE).await;
    scene.all_work().await;
    scene.clinic.close().await;
}

#[tokio::test]
async fn bar_a1_an_audit_that_hangs_or_is_killed_gives_no_byte_and_changes_nothing() {
    let mut scene = Scene::set().await;
    scene.all_work().await;
    let before = scene.written().await;
    let mut blocker = scene.lock().await;
    scene.all_refused("hangs").await;
    assert_eq!(scene.written().await, before, "something was changed");
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    scene.all_work_again("hangs").await;

    // The connection dies in the middle of each insert, for as long as it lasts.
    let before = scene.written().await;
    let mut blocker = scene.lock().await;
    let login = format!("{}_c", scene.clinic.acme.id.schema());
    let killer = scene.clinic.platform.superuser("clinical");
    let killed = Arc::new(AtomicI64::new(0));
    let done = Arc::clone(&killed);
    let killing = tokio::spawn(async move {
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE usename = '{login}' AND wait_event_type = 'Lock'"
        );
        loop {
            let killed = sqlx::query(AssertSqlSafe(kill.clone())).fetch_one(&killer).await.unwrap();
            done.fetch_add(killed.get(0), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    scene.all_refused("killed in mid-commit").await;
    killing.abort();
    println!("{} connections were killed", killed.load(Ordering::SeqCst));
    assert!(killed.load(Ordering::SeqCst) > 0, "nobody was killed");
    assert_eq!(scene.written().await, before, "something was changed");
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    scene.all_work_again("killed in mid-commit").await;
    scene.all_work().await;
    scene.clinic.close().await;
}
