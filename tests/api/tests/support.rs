//! A platform with its gateway, and clients of it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_care::fhir::BundleLimits;
use carekeep_gateway::{
    api::{self, Api, ApiParts, Hosts, Origins, Providers, identity::first_admin_invite},
    edge::{
        self, DevAuthority, EdgeDeps, EdgeLimits, Listener, ServeHandle, ShutdownTrigger, TrustedProxies,
        body::Pace, shutdown,
    },
    limits::{Limiter, LimiterConfig, MonotonicTicks},
    outward::OutwardOptions,
    telemetry::Metrics,
};
use carekeep_identity::{
    storage::PgRepository,
    totp::{self, TotpSecret},
};
use carekeep_kernel::{Clock, ManualClock, SystemClock, Timestamp};
use carekeep_ledger::Entry;
use carekeep_tenancy::{NewTenant, TenantRecord};
use carekeep_testkit::Platform;
use carekeep_vault::Vault;
use reqwest::{Certificate, Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

use crate::provider::{Provider, ProviderAuthority};

pub(crate) const PASSWORD: &str = "pelican tangerine ledger";

/// Two tenants, `acme` and `bolt`, behind one gateway process.
pub(crate) struct Clinic {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) acme: TenantRecord,
    pub(crate) bolt: TenantRecord,
    pub(crate) platform: Platform,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Vec<u8>,
    providers: ProviderAuthority,
    handle: Option<ServeHandle>,
    trigger: Option<ShutdownTrigger>,
}

impl Clinic {
    pub(crate) async fn open() -> Self {
        Self::open_with(&LimiterConfig::new([1; 32])).await
    }

    pub(crate) async fn open_with(rates: &LimiterConfig) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_010_000_000)));
        let platform = Platform::start_at(clock.clone()).await;
        let acme = platform.tenant("acme").await;
        let bolt = NewTenant { accent: Some("#7a1f4b".to_owned()), ..Platform::new_tenant("bolt") };
        let bolt = platform.control.create(&bolt).await.unwrap();
        let vault = platform.vault().await;
        let (trigger, signal) = shutdown::channel();
        let ticks = Arc::new(MonotonicTicks::default());
        let limiter = Limiter::start(rates, None, ticks, signal.clone());
        let limits = EdgeLimits::default();
        let providers = ProviderAuthority::new();
        let outward = OutwardOptions { private: true, authority: Some(providers.pem.clone().into_bytes()) };
        let parts = ApiParts {
            vault: Arc::clone(&vault),
            limiter: Arc::clone(&limiter),
            bundle: BundleLimits { entries: 100, bytes: api::BUNDLE_BYTES, ..BundleLimits::default() },
            identity: api::identity::shared(&vault).unwrap(),
            providers: Providers::new(&outward).unwrap(),
            started: clock.now(),
        };
        let deps = EdgeDeps {
            directory: Arc::new(Hosts(Arc::clone(vault.directory()))),
            origins: Arc::new(Origins::new(Arc::clone(&vault))),
            limiter,
            metrics: Metrics::new("test", None).unwrap(),
            routes: carekeep::pages::offer(api::route_table()),
            proxies: TrustedProxies::default(),
            public_ports: Vec::new(),
            pace: Pace::from(&limits),
            clock: clock.clone(),
            random: Arc::clone(&platform.random),
        };
        // Clients check certificates by the machine's clock.
        let authority = DevAuthority::load_or_create(&platform.folder("tls"), Arc::new(SystemClock)).unwrap();
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener::public(socket, authority.tls().unwrap()).unwrap();
        let routes = api::router(Api::new(parts)).merge(carekeep::pages::router(&vault));
        let handle = edge::serve(listener, edge::layers(routes, deps), limits, signal);
        Self {
            clock,
            vault,
            acme,
            bolt,
            platform,
            address: handle.local_addr,
            authority: std::fs::read(authority.certificate_path()).unwrap(),
            providers,
            handle: Some(handle),
            trigger: Some(trigger),
        }
    }

    /// An identity provider that this clinic's gateway trusts, with the same clock.
    pub(crate) fn provider(&self) -> Provider {
        self.provider_called("provider")
    }

    /// As [`Clinic::provider`], one more: another one has its files in another folder.
    pub(crate) fn provider_called(&self, name: &str) -> Provider {
        Provider::start(&self.providers, &self.folder(name), Arc::clone(&self.clock))
    }

    pub(crate) async fn close(mut self) {
        self.trigger.take().unwrap().fire();
        self.handle.take().unwrap().finished().await;
    }

    /// How much there is of everything of acme that a request may change.
    pub(crate) async fn written(&self) -> [i64; 5] {
        [
            self.count("clinical", "resource").await,
            self.count("clinical", "resource_version").await,
            self.count("clinical", "search_token").await,
            self.count("clinical", "care_relation").await,
            self.count("operations", "person").await,
        ]
    }

    async fn count(&self, database: &str, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.{table}", self.acme.id.schema());
        let pool = self.platform.superuser(database);
        let count = sqlx::query(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap().get(0);
        pool.close().await;
        count
    }

    /// The ledger of acme, in order.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let sql = format!("SELECT entry FROM {}.audit_entry ORDER BY idx", self.acme.id.schema());
        let pool = self.platform.superuser("clinical");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows.iter().map(|row| Entry::decode(row.get(0)).unwrap()).collect()
    }

    /// The one text that a query on a database of acme gives; `{s}` is its schema there.
    pub(crate) async fn text(&self, database: &str, sql: &str) -> String {
        let pool = self.platform.superuser(database);
        let sql = sql.replace("{s}", &self.acme.id.schema());
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        pool.close().await;
        row.get(0)
    }

    /// Runs statements on a database of acme; `{s}` is its schema there.
    pub(crate) async fn as_superuser(&self, database: &str, sql: &str) {
        let pool = self.platform.superuser(database);
        let sql = sql.replace("{s}", &self.acme.id.schema());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// A path that goes away with the test.
    pub(crate) fn folder(&self, name: &str) -> std::path::PathBuf {
        self.platform.folder(name)
    }

    /// The origin of a tenant's pages.
    pub(crate) fn origin(&self, slug: &str) -> String {
        format!("https://{slug}.localhost:{}", self.address.port())
    }

    /// A program that is not signed in.
    pub(crate) fn program(&self, slug: &str) -> Program {
        let http = self.http(&[slug]).build().unwrap();
        Program { http, base: self.origin(slug), token: None, device: None }
    }

    /// What speaks to the hosts of these tenants.
    pub(crate) fn http(&self, slugs: &[&str]) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&self.authority).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30));
        let place = |builder: reqwest::ClientBuilder, slug: &&str| {
            builder.resolve(&format!("{slug}.localhost"), self.address)
        };
        slugs.iter().fold(builder, place)
    }

    /// The tenant's first administrator, signed in.
    pub(crate) async fn admin(&self) -> Member {
        let first = first_admin_invite(&self.vault, self.acme.id, "ada.admin", "Ada Novak").await.unwrap();
        self.join("ada.admin", first.token.reveal()).await
    }

    /// Has the administrator invite somebody, who joins.
    pub(crate) async fn member(&self, admin: &mut Member, login: &str, roles: &[&str]) -> Member {
        self.member_from(admin, login, roles, None).await
    }

    /// As [`Clinic::member`], who joins from a device.
    pub(crate) async fn member_from(
        &self,
        admin: &mut Member,
        login: &str,
        roles: &[&str],
        device: Option<&str>,
    ) -> Member {
        let body = json!({"login": login, "name": format!("Name of {login}"), "roles": roles});
        let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
        let mut member = self.join_from(login, invited["token"].as_str().unwrap(), device).await;
        assert_eq!(invited["person"], member.id.as_str());
        // Nobody else is there to approve what needs approval: then it is for the platform's operator.
        for request in invited["requests"].as_array().into_iter().flatten() {
            let people = PgRepository::open(&self.vault, self.acme.id).await.unwrap();
            people.decide_as_operator(request["id"].as_str().unwrap().parse().unwrap(), true).await.unwrap();
        }
        // A session that is open learns of its new role within a second.
        while member.program.get("/api/v1/me").await.expect(StatusCode::OK)["roles"].as_array().unwrap().len()
            < roles.len()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        member
    }

    /// What somebody does with an invitation: password, code generator.
    pub(crate) async fn join(&self, login: &str, token: &str) -> Member {
        self.join_from(login, token, None).await
    }

    async fn join_from(&self, login: &str, token: &str, device: Option<&str>) -> Member {
        let program = Program { device: device.map(str::to_owned), ..self.program("acme") };
        self.join_at(program, login, token).await
    }

    /// As [`Clinic::join`], at the tenant of a program.
    pub(crate) async fn join_at(&self, mut program: Program, login: &str, token: &str) -> Member {
        let step =
            program.post("/api/v1/invites/accept", &json!({"token": token})).await.expect(StatusCode::OK);
        assert_eq!(step["next"], "enrol");
        let step = program
            .post("/api/v1/enrol/password", &json!({"password": PASSWORD}))
            .await
            .expect(StatusCode::OK);
        assert_eq!((&step["next"], &step["enrolled"]["password"]), (&json!("enrol"), &json!(true)));
        let setup = program.post("/api/v1/enrol/totp/begin", &Value::Null).await.expect(StatusCode::OK);
        let text = setup["secret"].as_str().unwrap();
        assert!(setup["otpauth_uri"].as_str().unwrap().contains(text));
        assert!(setup["qr_svg"].as_str().unwrap().contains("<svg"));
        let bytes = data_encoding::BASE32_NOPAD.decode(text.as_bytes()).unwrap();
        let secret = <[u8; 20]>::try_from(bytes).unwrap();
        let code = self.code(&secret);
        let step =
            program.post("/api/v1/enrol/totp/confirm", &json!({"code": code})).await.expect(StatusCode::OK);
        assert_eq!(step["next"], "done");
        let me = program.get("/api/v1/me").await.expect(StatusCode::OK);
        Member { id: me["person"].as_str().unwrap().to_owned(), login: login.to_owned(), secret, program }
    }

    /// What the app shows now.
    pub(crate) fn code(&self, secret: &[u8; 20]) -> String {
        totp::code_at(&TotpSecret::from_bytes(*secret), self.clock.now())
    }

    /// Lets the app show a new code.
    pub(crate) fn next_code(&self, secret: &[u8; 20]) -> String {
        self.clock.advance(Duration::from_secs(30));
        self.code(secret)
    }

    /// Signs a member in at a new program, by password and code.
    pub(crate) async fn sign_in(&self, member: &Member) -> Program {
        self.sign_in_from(member, None).await
    }

    /// As [`Clinic::sign_in`], from a device.
    pub(crate) async fn sign_in_from(&self, member: &Member, device: Option<&str>) -> Program {
        let mut program = Program { device: device.map(str::to_owned), ..self.program("acme") };
        let body = json!({"login": member.login, "password": PASSWORD});
        let step = program.post("/api/v1/sign-in/password", &body).await.expect(StatusCode::OK);
        assert_eq!(step["next"], "second_factor");
        let code = self.next_code(&member.secret);
        let step = program.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
        assert_eq!((&step["next"], &step["must_reenrol"]), (&json!("done"), &json!(false)));
        program
    }
}

/// Settings of the ways in: what is said, and else what holds by default.
pub(crate) fn settings(said: &Value) -> Value {
    let mut whole = json!({"passkeys": {}, "makers": [], "confirmed_devices": false, "passwords": true, "recovery_hold_hours": 24});
    for (name, value) in said.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

/// Somebody who is set up, and the program with the session of the enrolment.
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) login: String,
    pub(crate) secret: [u8; 20],
    pub(crate) program: Program,
}

/// A program with a bearer token.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: Option<String>,
    /// What it is recognised by; `new` when it wants to be.
    pub(crate) device: Option<String>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, body, text }
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// The stable code of a refusal.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The body without what differs from request to request by design: the request id.
    pub(crate) fn without_instance(&self) -> Value {
        let mut body = self.body.clone();
        let instance = body.as_object_mut().unwrap().remove("instance");
        assert!(instance.is_some_and(|id| id.as_str().unwrap().starts_with("urn:uuid:")));
        body
    }
}

impl Program {
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: &Value) -> Answer {
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).header("carekeep-token", "body");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(device) = &self.device {
            request = request.header("carekeep-device", device);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = Answer::of(request).await;
        assert!(!answer.headers.contains_key("set-cookie"), "a program gets no cookie");
        if let Some(token) = answer.body["token"].as_str().filter(|token| token.starts_with("cks_")) {
            self.token = Some(token.to_owned());
        }
        if let Some(device) = answer.body["device"].as_str() {
            self.device = Some(device.to_owned());
        }
        answer
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &Value::Null).await
    }

    /// Until a request is answered with this status; within a second, as revocation must be everywhere.
    pub(crate) async fn within_a_second(&mut self, path: &str, status: StatusCode) {
        let began = Instant::now();
        while self.get(path).await.status != status {
            assert!(
                began.elapsed() < Duration::from_secs(1),
                "{path} does not answer {status} within a second"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
