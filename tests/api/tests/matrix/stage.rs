//! The clinics that the matrix is played in: people and charts of two tenants that are served, and one that is suspended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use carekeep_gateway::limits::{LaneLimit, LimiterConfig};
use carekeep_identity::{TokenKind, token};
use carekeep_kernel::{Clock, DeviceId, ResourceId, SessionId, TenantId};
use carekeep_policy::Role;
use carekeep_testkit::{Onlooker, Person, PersonSpec, Platform};
use carekeep_vault::Vault;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Answer, Clinic};

use super::{
    cast::{Actor, Credential, State, Style},
    headers,
};

/// The resource types of the table: one of each class that policy tells apart, and of clinical records one that nurses
/// write and one that they do not.
pub(super) const KINDS: &[&str] = &["Patient", "Encounter", "Condition", "Observation", "Practitioner"];

/// In every resource, at a place that only the whole resource shows.
pub(super) const CANARY: &str = "whole-resource-canary";

/// After so long without use staff are signed out.
pub(super) const STAFF_IDLE: Duration = Duration::from_secs(15 * 60);

/// The relation bits of the clinical schema.
const CARE_TEAM: i16 = 1;
const PROXY: i16 = 8;

/// A patient with one resource of each kind, and the professional who is not the patient's.
#[derive(Clone)]
pub(super) struct Chart {
    pub(super) patient: ResourceId,
    ids: BTreeMap<&'static str, String>,
}

impl Chart {
    /// The id of the resource of a kind.
    pub(super) fn id(&self, kind: &str) -> &str {
        &self.ids[kind]
    }

    /// `Kind/id`
    pub(super) fn reference(&self, kind: &str) -> String {
        format!("{kind}/{}", self.id(kind))
    }
}

/// A body that a request has.
#[derive(Clone)]
pub(super) enum Body {
    None,
    Json(Value),
    Fhir(Value),
    Form(String),
}

/// A request, whoever sends it.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Body,
    pub(super) headers: Vec<(&'static str, String)>,
    /// What a browser has in a cookie and a program in the body, when a passkey's ceremony ends.
    pub(super) holder: Option<String>,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>, body: Body) -> Self {
        Self { method, path: path.into(), body, headers: Vec::new(), holder: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Body::None)
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::POST, path, Body::Json(body))
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A resource of a kind about a patient.
pub(super) fn resource(kind: &str, patient: &str) -> Value {
    let subject = json!({"reference": format!("Patient/{patient}")});
    let note = json!([{ "text": CANARY }]);
    match kind {
        "Patient" => json!({
            "resourceType": kind, "name": [{"family": "Kim"}], "birthDate": "1971-03-04",
            "maritalStatus": {"text": CANARY},
        }),
        "Encounter" => json!({
            "resourceType": kind, "status": "finished", "class": {"code": "AMB"}, "subject": subject,
            "reasonCode": note,
        }),
        "Condition" => json!({
            "resourceType": kind, "code": {"text": "Migraine"}, "subject": subject, "note": note,
        }),
        "Observation" => json!({
            "resourceType": kind, "status": "final", "code": {"text": "Pulse"}, "subject": subject, "note": note,
        }),
        "Practitioner" => json!({
            "resourceType": kind, "name": [{"family": "Ng"}], "qualification": [{"code": {"text": CANARY}}],
        }),
        other => panic!("no sample of {other}"),
    }
}

/// As [`resource`], with its id, for an update.
pub(super) fn resource_with_id(kind: &str, id: &str, patient: &str) -> Value {
    let mut body = resource(kind, patient);
    body["id"] = json!(id);
    body
}

/// Where the matrix is played.
pub(super) struct Stage {
    pub(super) clinic: Clinic,
    pub(super) onlooker: Onlooker,
    pub(super) http: reqwest::Client,
    /// In acme: the chart that the patient owns and the care team reads.
    pub(super) own: Chart,
    /// In acme: a chart that nobody of the cast but its patient has to do with.
    pub(super) other: Chart,
    /// In bolt: a chart with its own care team.
    pub(super) foreign: Chart,
    /// Not of the cast: they make what requests are about.
    pub(super) scribe: Actor,
    pub(super) steward: Actor,
    pub(super) boss: Actor,
    /// In bolt, on the care team of its chart.
    pub(super) stranger: Actor,
    pub(super) cast: Vec<Actor>,
    /// Where the people of the platform are, and those of acme's partner.
    pub(super) operators: TenantId,
    pub(super) partner: TenantId,
}

/// Limits that nobody reaches here; what they do is tested elsewhere.
fn unlimited() -> LimiterConfig {
    let all = LaneLimit::per_seconds(1_000_000, 1);
    LimiterConfig {
        address: all,
        tenant: all,
        principal: all,
        sign_in_address: all,
        sign_in_account: all,
        bulk: all,
        ..LimiterConfig::new([1; 32])
    }
}

/// Puts people into a tenant.
pub(super) struct Hiring<'a> {
    pub(super) platform: &'a Platform,
    pub(super) vault: &'a Arc<Vault>,
}

impl Hiring<'_> {
    pub(super) async fn hire(&self, tenant: TenantId, login: &str, spec: PersonSpec<'_>) -> Person {
        let person = self.platform.person(tenant, spec).await;
        self.platform.name(self.vault, &person, login, "Some Body").await;
        person
    }
}

impl Stage {
    pub(super) async fn open() -> Self {
        let clinic = Clinic::open_with(&unlimited()).await;
        let calm = clinic.platform.tenant("calm").await;
        let (operators, partner) =
            (clinic.platform.operators().await, clinic.platform.partner("northstar").await);
        clinic.vault.directory().refresh().await.unwrap();
        let hiring = Hiring { platform: &clinic.platform, vault: &clinic.vault };
        let role = |role: &'static [Role]| PersonSpec { roles: role, ..PersonSpec::default() };
        let (acme, bolt) = (clinic.acme.id, clinic.bolt.id);
        let scribe = hiring.hire(acme, "scribe", role(&[Role::Clinician])).await;
        let steward = hiring.hire(acme, "steward", role(&[Role::ClinicManager])).await;
        let boss = hiring.hire(acme, "boss", role(&[Role::TenantAdmin])).await;
        let stranger = hiring.hire(bolt, "stranger", role(&[Role::Clinician])).await;
        let keeper = hiring.hire(bolt, "keeper", role(&[Role::ClinicManager])).await;
        let resting = hiring.hire(calm.id, "resting", role(&[Role::Clinician])).await;
        let actor = |name, slug, person: &Person| Actor::live(name, slug, person);
        let onlooker = clinic.platform.onlooker();
        let http = clinic.http(&["acme", "bolt", "calm", "platform", "northstar"]).build().unwrap();
        let nobody = Chart { patient: ResourceId::from_uuid(uuid::Uuid::nil()), ids: BTreeMap::new() };
        let mut stage = Self {
            onlooker,
            http,
            own: nobody.clone(),
            other: nobody.clone(),
            foreign: nobody,
            scribe: actor("scribe", "acme", &scribe),
            steward: actor("steward", "acme", &steward),
            boss: actor("boss", "acme", &boss),
            stranger: actor("stranger", "bolt", &stranger),
            cast: Vec::new(),
            operators: operators.id,
            partner: partner.id,
            clinic,
        };
        let keeper = actor("keeper", "bolt", &keeper);
        stage.own = stage.chart(&stage.scribe, &stage.steward).await;
        stage.other = stage.chart(&stage.scribe, &stage.steward).await;
        stage.foreign = stage.chart(&stage.stranger, &keeper).await;
        stage.cast = super::cast::cast(&stage, resting).await;
        stage.clinic.platform.control.set_suspended("calm", true).await.unwrap();
        stage.clinic.vault.directory().refresh().await.unwrap();
        stage
    }

    pub(super) async fn close(self) {
        self.clinic.close().await;
    }

    pub(super) fn hiring(&self) -> Hiring<'_> {
        Hiring { platform: &self.clinic.platform, vault: &self.clinic.vault }
    }

    /// Has somebody care for the patient of acme's first chart, or act for them.
    pub(super) async fn relate(&self, person: &Person, proxy: bool) {
        let relation = if proxy { PROXY } else { CARE_TEAM };
        self.clinic.platform.relate(person.tenant, person.id, self.own.patient, relation).await;
    }

    /// Somebody of the cast.
    pub(super) fn actor(&self, name: &str) -> &Actor {
        self.cast.iter().find(|actor| actor.name == name).unwrap_or_else(|| panic!("nobody plays {name}"))
    }

    /// A session of that actor, by default a new one, as they present it.
    pub(super) async fn credential(&self, actor: &Actor) -> Credential {
        actor.credential(self).await
    }

    pub(super) fn now(&self) -> carekeep_kernel::Timestamp {
        self.clinic.clock.now()
    }

    /// Sends a request as somebody, and checks what every answer must have.
    pub(super) async fn send(&self, credential: &Credential, call: &Call) -> Answer {
        let address = format!("{}{}", self.clinic.origin(credential.slug), call.path);
        let request = credential.sign(self.http.request(call.method.clone(), address), call);
        let answer = Answer::of(request).await;
        headers::check(&answer, &call.path);
        answer
    }

    /// A confirmed device of a person, from which a session is, and what it is recognised by.
    pub(super) async fn device(&self, person: &Person, session: SessionId) -> (DeviceId, String) {
        let platform = &self.clinic.platform;
        let (token, hash) = token::issue(TokenKind::Device, &*platform.random);
        let device = platform.device(person, session, *hash.of_person(person.id).as_bytes()).await;
        (device, token.reveal().to_owned())
    }

    /// What asks in the background keeps no session, whatever the route (BARS I1), unless a factor was proven: that gives the next
    /// token.
    pub(super) async fn is_no_use(&self, credential: &Credential, call: &Call, answer: &Answer) {
        let (Some(person), Some(session), true) =
            (&credential.person, credential.session, credential.background)
        else {
            return;
        };
        let kept = self.clinic.platform.last_seen(&Person { session, ..person.clone() }).await;
        let proven = answer.body["token"].as_str().is_some_and(|token| token.starts_with("cks_"));
        let used = self.now().since(kept) < STAFF_IDLE - Duration::from_secs(1);
        assert!(
            proven || !used,
            "{} {} keeps the session that asks in the background",
            call.method,
            call.path
        );
    }

    /// Sends a request that must succeed.
    pub(super) async fn done(&self, actor: &Actor, call: Call) -> Value {
        let credential = self.credential(actor).await;
        let answer = self.send(&credential, &call).await;
        assert!(answer.status.is_success(), "{} {}: {}", actor.name, call.path, answer.text);
        answer.body
    }

    /// Creates a resource and gives its id.
    pub(super) async fn create(&self, actor: &Actor, kind: &str, patient: &str) -> String {
        let call = Call::new(Method::POST, format!("/fhir/R4/{kind}"), Body::Fhir(resource(kind, patient)));
        let credential = self.credential(actor).await;
        let made = self.send(&credential, &call).await.expect(StatusCode::CREATED);
        made["id"].as_str().unwrap().to_owned()
    }

    /// A role that somebody of the person's tenant asked for, for them.
    pub(super) async fn role_request(&self, person: &Person) -> String {
        let (clock, random) = (&*self.clinic.platform.clock, &*self.clinic.platform.random);
        let id = ResourceId::generate(clock, random).to_string();
        let sql = format!(
            "INSERT INTO {}.role_request (id, person, role, requested_by, requested_at, expires_at)
             VALUES ('{id}', '{}', 'privacy_officer', '{id}', to_timestamp(0), to_timestamp(4e9))",
            person.tenant.schema(),
            person.id
        );
        let pool = self.clinic.platform.superuser("operations");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
        id
    }

    /// Somebody new, with a login name of their own.
    pub(super) async fn somebody(&self, tenant: TenantId, roles: &[Role]) -> Person {
        let login = ResourceId::generate(&*self.clinic.platform.clock, &*self.clinic.platform.random);
        let spec = PersonSpec { roles, ..PersonSpec::default() };
        self.hiring().hire(tenant, &format!("somebody.{login}"), spec).await
    }

    /// An identity provider's account, with the id and the text of its token.
    pub(super) async fn identity_provider(&self, tenant: TenantId) -> (Person, String, String) {
        let account = self.somebody(tenant, &[Role::Provisioner]).await;
        let maker = match self.boss.person() {
            boss if boss.tenant == tenant => boss.clone(),
            _ => self.somebody(tenant, &[Role::TenantAdmin]).await,
        };
        let (id, token) = self.clinic.platform.provisioning_token(&account, &maker).await;
        (account, id.to_string(), token)
    }

    /// A passkey of somebody, of which nobody has the private half.
    pub(super) async fn passkey(&self, person: &Person) -> String {
        let (clock, random) = (&*self.clinic.platform.clock, &*self.clinic.platform.random);
        let id = ResourceId::generate(clock, random).to_string();
        let sql = format!(
            "INSERT INTO {}.passkey (id, person, name, credential_id, data, backup_eligible, backup_state, counter,
               created_at) VALUES ('{id}', '{}', 'Theirs', '{id}', '{{}}', false, false, 0, to_timestamp(0))",
            person.tenant.schema(),
            person.id
        );
        let pool = self.clinic.platform.superuser("operations");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
        id
    }

    /// A patient who has no account, to whom everybody is what they are to the patient of acme's first chart.
    pub(super) async fn newcomer(&self) -> String {
        let id = self.create(&self.scribe, "Patient", "").await;
        let sql = format!(
            "INSERT INTO {schema}.care_relation (person, patient, relation, valid_from, valid_until, entry)
             SELECT person, '{id}', relation, valid_from, valid_until, entry FROM {schema}.care_relation
             WHERE patient = '{own}' ON CONFLICT DO NOTHING",
            schema = self.clinic.acme.id.schema(),
            own = self.own.patient
        );
        let pool = self.clinic.platform.superuser("clinical");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
        id
    }

    async fn chart(&self, scribe: &Actor, steward: &Actor) -> Chart {
        let patient = self.create(scribe, "Patient", "").await;
        let mut ids = BTreeMap::new();
        for kind in KINDS.iter().filter(|kind| **kind != "Patient") {
            let by = if *kind == "Practitioner" { steward } else { scribe };
            ids.insert(*kind, self.create(by, kind, &patient).await);
        }
        let id = patient.parse().unwrap();
        ids.insert("Patient", patient);
        Chart { patient: id, ids }
    }

    /// A program that nobody has signed in with.
    pub(super) fn nobody() -> Credential {
        Credential::bare(("acme", Style::Program), None)
    }

    /// A new session in some state, of somebody who has one already.
    pub(super) async fn session(&self, person: &Person, state: State) -> Credential {
        super::cast::session(self, ("acme", Style::Program), person, state).await
    }
}
