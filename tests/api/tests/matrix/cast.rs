//! The principals of the matrix. Sessions are put in as identity stores them, a new one for each request that may change
//! or end one; what leads to a session is tested where people sign in.

use std::time::Duration;

use carekeep_identity::{
    FactorKind, FactorTime, TokenKind,
    flow::{Enrolment, SessionState},
    service::Repository as _,
    session::SessionRecord,
    storage::PgRepository,
    token,
};
use carekeep_kernel::{SessionId, TenantId, Timestamp};
use carekeep_policy::Role;
use carekeep_testkit::{AppSpec, Person, PersonSpec};
use reqwest::RequestBuilder;

use super::stage::{Body, Call, STAFF_IDLE, Stage};

/// How a request carries its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As a bearer token.
    Program,
    /// In the cookie, from the tenant's own page.
    Browser,
    /// In the cookie, from a sibling tenant's page.
    CrossSite,
    /// Both ways at once.
    Both,
}

/// What a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// With two factors, given a moment ago.
    Live,
    /// Unused for as long as staff may be, to the second.
    Idle,
    /// In use, and as old as any session may become, to the second.
    Old,
    /// As live as any, for one second more: unused and as old as it may be. It asks in the background, which puts nothing off.
    LastSecond,
    /// With two factors, given as long ago as what needs a fresh one no longer takes, to the second.
    Stale,
    /// Ended.
    Revoked,
    /// The password was given, the second factor was not.
    Pending,
    /// An invitation was accepted; each such session is of a newcomer of its own.
    Enrolling,
    /// No session but an app's token, in the person's name, with scopes for all that the person may do.
    App,
    /// As [`State::App`], for looking into the one chart that the person has nothing to do with.
    NarrowApp,
    /// No session but the token of a program that acts for itself as the person, with scopes for all that there is.
    Acting,
    /// No session but a provisioning token; each is of an account of its own.
    Provisioner,
    /// Active with one factor: there is no way to such a session, and it is refused all the same.
    OneFactor,
}

/// Where an actor's session comes from.
#[derive(Clone)]
enum Source {
    Nowhere,
    Text(String),
    Session(Person, State),
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(super) struct Actor {
    pub(super) name: &'static str,
    /// At which tenant's host.
    pub(super) slug: &'static str,
    style: Style,
    source: Source,
}

/// A session as its holder presents it.
#[derive(Clone)]
pub(super) struct Credential {
    pub(super) slug: &'static str,
    pub(super) style: Style,
    pub(super) token: Option<String>,
    /// Whose it is, if it was made here.
    pub(super) person: Option<Person>,
    pub(super) session: Option<SessionId>,
    pub(super) background: bool,
}

impl Credential {
    pub(super) fn bare((slug, style): (&'static str, Style), token: Option<String>) -> Self {
        Self { slug, style, token, person: None, session: None, background: false }
    }
}

impl Actor {
    pub(super) fn live(name: &'static str, slug: &'static str, person: &Person) -> Self {
        Self::of(name, slug, person, State::Live)
    }

    fn of(name: &'static str, slug: &'static str, person: &Person, state: State) -> Self {
        Self { name, slug, style: Style::Program, source: Source::Session(person.clone(), state) }
    }

    fn presents(name: &'static str, slug: &'static str, token: Option<&str>) -> Self {
        let source = token.map_or(Source::Nowhere, |token| Source::Text(token.to_owned()));
        Self { name, slug, style: Style::Program, source }
    }

    fn by(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Whether it is somebody of this tenant who can do something there.
    pub(super) fn works_at(&self, tenant: TenantId) -> bool {
        let live = |person: &Person, state: State| state == State::Live && person.tenant == tenant;
        matches!(&self.source, Source::Session(person, state) if live(person, *state))
            && !matches!(self.name, "suspended" | "left")
    }

    /// The person behind the actor.
    pub(super) fn person(&self) -> &Person {
        match &self.source {
            Source::Session(person, _) => person,
            Source::Nowhere | Source::Text(_) => panic!("{} is no person", self.name),
        }
    }

    pub(super) async fn credential(&self, stage: &Stage) -> Credential {
        let place = (self.slug, self.style);
        match &self.source {
            Source::Nowhere => Credential::bare(place, None),
            Source::Text(token) => Credential::bare(place, Some(token.clone())),
            Source::Session(person, state) => session(stage, place, person, *state).await,
        }
    }
}

/// Stores a new session of a person in some state.
pub(super) async fn session(
    stage: &Stage,
    place: (&'static str, Style),
    person: &Person,
    state: State,
) -> Credential {
    let platform = &stage.clinic.platform;
    if matches!(state, State::App | State::NarrowApp | State::Acting) {
        let narrow =
            AppSpec { scopes: "patient/*.rs", patient: Some(stage.other.patient), ..AppSpec::default() };
        let acting = AppSpec { scopes: "system/*.cruds", own: true, bound: false, ..AppSpec::default() };
        let spec = match state {
            State::Acting => acting,
            State::NarrowApp => narrow,
            _ => AppSpec::default(),
        };
        let token = Some(platform.app(person, spec).await.person.token);
        return Credential { person: Some(person.clone()), ..Credential::bare(place, token) };
    }
    if state == State::Provisioner {
        let (person, _, token) = stage.identity_provider(person.tenant).await;
        return Credential { person: Some(person), ..Credential::bare(place, Some(token)) };
    }
    let newcomer = match state {
        State::Enrolling => {
            let spec = PersonSpec { roles: &[], status: "invited", ..PersonSpec::default() };
            let login = format!("new.{}", SessionId::generate(&*platform.clock, &*platform.random));
            Some(stage.hiring().hire(person.tenant, &login, spec).await)
        }
        _ => None,
    };
    let person = newcomer.unwrap_or_else(|| person.clone());
    let (token, hash) = token::issue(TokenKind::Session, &*platform.random);
    let now = stage.now();
    let ago = |seconds: u64| earlier(now, Duration::from_secs(seconds));
    let (idle, absolute) = (STAFF_IDLE.as_secs(), 12 * 60 * 60);
    let (created, last_seen) = match state {
        State::Idle => (ago(idle), ago(idle)),
        State::Old => (ago(absolute), now),
        State::LastSecond => (ago(absolute - 1), ago(idle - 1)),
        _ => (now, now),
    };
    let factor = |kind| FactorTime { kind, at: if state == State::Stale { ago(5 * 60) } else { now } };
    let (flow, factors) = match state {
        State::Pending => (SessionState::PendingSecondFactor, vec![factor(FactorKind::Password)]),
        State::Enrolling => (SessionState::Enrolling(Enrolment::default()), Vec::new()),
        _ => (
            SessionState::Active { must_reenrol: false },
            vec![factor(FactorKind::Password), factor(FactorKind::Totp)],
        ),
    };
    let id = SessionId::generate(&*platform.clock, &*platform.random);
    let record = SessionRecord {
        id,
        tenant: person.tenant,
        person: person.id,
        token_hash: hash,
        state: flow,
        created,
        last_seen,
        last_saved: last_seen,
        factors,
        device: None,
        revoked: (state == State::Revoked).then_some(now),
    };
    let repository = PgRepository::open(&stage.clinic.vault, person.tenant).await.unwrap();
    repository.add_session(&record).await.unwrap();
    if state == State::OneFactor {
        stage.onlooker.one_factor(person.tenant, id).await;
    }
    let known = Credential::bare(place, Some(token.reveal().to_owned()));
    Credential { person: Some(person), session: Some(id), background: state == State::LastSecond, ..known }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(now.as_micros() - i64::try_from(by.as_micros()).unwrap())
}

impl Credential {
    /// Puts session and body into a request.
    pub(super) fn sign(&self, mut request: RequestBuilder, call: &Call) -> RequestBuilder {
        let browser = self.style != Style::Program;
        let mut cookies: Vec<String> = Vec::new();
        if let Some(token) = &self.token {
            if browser {
                cookies.push(format!("__Host-carekeep={token}"));
            }
            if matches!(self.style, Style::Program | Style::Both) {
                request = request.bearer_auth(token);
            }
        }
        if browser {
            let site = if self.style == Style::CrossSite { "same-site" } else { "same-origin" };
            request = request.header("sec-fetch-site", site);
            cookies.extend(call.holder.iter().map(|holder| format!("__Host-carekeep-ceremony={holder}")));
            request = request.header("cookie", cookies.join("; "));
        } else {
            request = request.header("carekeep-token", "body");
        }
        if self.background {
            request = request.header("carekeep-activity", "background");
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        match &call.body {
            Body::None => request,
            Body::Json(body) => {
                let mut body = body.clone();
                if let (false, Some(holder)) = (browser, &call.holder) {
                    body["holder"] = holder.as_str().into();
                }
                request.json(&body)
            }
            Body::Fhir(body) => {
                request.header("content-type", "application/fhir+json").body(body.to_string())
            }
            Body::Form(form) => {
                request.header("content-type", "application/x-www-form-urlencoded").body(form.clone())
            }
        }
    }
}

/// Roles that decide by themselves, whoever the patient is.
const OFFICES: &[(&str, Role)] = &[
    ("reception", Role::Reception),
    ("billing", Role::Billing),
    ("clinic manager", Role::ClinicManager),
    ("tenant admin", Role::TenantAdmin),
    ("privacy officer", Role::PrivacyOfficer),
    ("auditor", Role::Auditor),
    ("support", Role::Support),
    ("service account", Role::ServiceAccount),
];

/// Everybody who sends every request. `resting` is of a tenant that is suspended before the play begins.
///
/// BARS Z3 also names somebody whose patient revoked consent: there is no consent yet.
pub(super) async fn cast(stage: &Stage, resting: Person) -> Vec<Actor> {
    let hiring = stage.hiring();
    let (acme, bolt) = (stage.clinic.acme.id, stage.clinic.bolt.id);
    let spec = |roles: &'static [Role]| PersonSpec { roles, ..PersonSpec::default() };
    let clinician = hiring.hire(acme, "clinician", spec(&[Role::Clinician])).await;
    let suspended =
        hiring.hire(acme, "suspended", PersonSpec { status: "suspended", ..spec(&[Role::Clinician]) }).await;
    let left = hiring.hire(acme, "left", PersonSpec { status: "left", ..spec(&[Role::Clinician]) }).await;
    let nurse = hiring.hire(acme, "nurse", spec(&[Role::Nurse])).await;
    for person in [&clinician, &suspended, &left, &nurse] {
        stage.relate(person, false).await;
    }
    let proxy = hiring.hire(acme, "proxy", spec(&[Role::Proxy])).await;
    stage.relate(&proxy, true).await;
    let patient_of = |patient| PersonSpec { patient: Some(patient), ..spec(&[Role::Patient]) };
    let patient = hiring.hire(acme, "patient", patient_of(stage.own.patient)).await;
    let other_patient = hiring.hire(acme, "other.patient", patient_of(stage.other.patient)).await;
    let other_clinician = hiring.hire(acme, "other.clinician", spec(&[Role::Clinician])).await;
    let other_nurse = hiring.hire(acme, "other.nurse", spec(&[Role::Nurse])).await;
    let roleless = hiring.hire(acme, "roleless", spec(&[])).await;
    let storing = hiring.hire(acme, "storing", spec(&[Role::ServiceAccount])).await;
    let reading = hiring.hire(acme, "reading", spec(&[Role::ServiceAccount, Role::RecordsReader])).await;
    let foreign_admin = hiring.hire(bolt, "admin", spec(&[Role::TenantAdmin])).await;
    let as_clinician = |name, state| Actor::of(name, "acme", &clinician, state);
    let mut cast = vec![
        Actor::presents("nobody", "acme", None),
        Actor::presents("malformed token", "acme", Some("cks_not-a-token")),
        as_clinician("idle session", State::Idle),
        as_clinician("old session", State::Old),
        as_clinician("revoked session", State::Revoked),
        as_clinician("password only", State::Pending),
        as_clinician("enrolling", State::Enrolling),
        as_clinician("one factor", State::OneFactor),
        Actor::live("foreign clinician", "acme", stage.stranger.person()),
        Actor::live("foreign admin", "acme", &foreign_admin),
        Actor::presents("suspended tenant", "calm", Some(&resting.token)),
        Actor::live("suspended", "acme", &suspended),
        Actor::live("left", "acme", &left),
        as_clinician("two tokens", State::Live).by(Style::Both),
        as_clinician("cross-site", State::Live).by(Style::CrossSite),
        as_clinician("browser", State::Live).by(Style::Browser),
        as_clinician("clinician", State::Live),
        as_clinician("last second", State::LastSecond),
        as_clinician("app", State::App),
        as_clinician("narrow app", State::NarrowApp),
        Actor::of("storing program", "acme", &storing, State::Acting),
        Actor::of("reading program", "acme", &reading, State::Acting),
        Actor::live("reader's session", "acme", &reading),
        Actor::of("identity provider", "acme", &clinician, State::Provisioner),
        Actor::of("foreign provider", "acme", &foreign_admin, State::Provisioner),
        Actor::live("other clinician", "acme", &other_clinician),
        Actor::live("nurse", "acme", &nurse),
        Actor::live("other nurse", "acme", &other_nurse),
        Actor::live("patient", "acme", &patient),
        Actor::live("other patient", "acme", &other_patient),
        Actor::live("proxy", "acme", &proxy),
        Actor::live("roleless", "acme", &roleless),
    ];
    cast.extend(offices(stage).await);
    cast
}

/// Those whose role decides by itself, and those who look after clinics.
async fn offices(stage: &Stage) -> Vec<Actor> {
    let (hiring, acme, mut cast) = (stage.hiring(), stage.clinic.acme.id, Vec::new());
    for (name, role) in OFFICES {
        let roles = [*role];
        let login = name.replace(' ', ".");
        let person = hiring.hire(acme, &login, PersonSpec { roles: &roles, ..PersonSpec::default() }).await;
        cast.push(Actor::live(name, "acme", &person));
        if *role == Role::TenantAdmin {
            cast.push(Actor::of("stale admin", "acme", &person, State::Stale));
        }
    }
    for (name, roles, tenant) in beyond(stage) {
        let person = hiring.hire(tenant, name, PersonSpec { roles, ..PersonSpec::default() }).await;
        cast.push(Actor::live(name, "acme", &person));
    }
    cast
}

/// Who looks after clinics, and belongs to none.
const fn beyond(stage: &Stage) -> [(&'static str, &'static [Role], TenantId); 2] {
    [
        ("platform operator", &[Role::PlatformOperator], stage.operators),
        ("partner admin", &[Role::PartnerAdmin], stage.partner),
    ]
}

/// Everybody who sends every request at the host of the platform's people, or at that of a partner's (`here`).
pub(super) async fn cast_beyond(stage: &Stage, (slug, here): (&'static str, TenantId)) -> Vec<Actor> {
    let hiring = stage.hiring();
    let login = |name: &str| format!("{}.{slug}", name.replace(' ', "."));
    let mut cast = vec![
        Actor::presents("nobody", slug, None),
        Actor::presents("malformed token", slug, Some("cks_not-a-token")),
    ];
    for name in ["clinician", "tenant admin", "app", "identity provider"] {
        let actor = stage.actor(name);
        cast.push(Actor { slug, name: NAMES_OF_CLINICS[cast.len() - 2], ..actor.clone() });
    }
    for (name, role, tenant) in beyond(stage) {
        let person =
            hiring.hire(tenant, &login(name), PersonSpec { roles: role, ..PersonSpec::default() }).await;
        for (name, state) in STATES.iter().filter(|(of, ..)| *of == name).flat_map(|(_, all)| *all) {
            cast.push(Actor::of(name, slug, &person, *state));
        }
    }
    let offices: [(&str, &[Role]); 4] = [
        ("administrator", &[Role::TenantAdmin]),
        ("privacy officer", &[Role::PrivacyOfficer]),
        ("auditor", &[Role::Auditor]),
        ("roleless", &[]),
    ];
    for (name, roles) in offices {
        let person = hiring.hire(here, &login(name), PersonSpec { roles, ..PersonSpec::default() }).await;
        cast.push(Actor::live(name, slug, &person));
    }
    let operator: &[Role] =
        if here == stage.partner { &[Role::PartnerAdmin] } else { &[Role::PlatformOperator] };
    for (name, status) in [("suspended", "suspended"), ("left", "left")] {
        let person = hiring
            .hire(here, &login(name), PersonSpec { roles: operator, status, ..PersonSpec::default() })
            .await;
        cast.push(Actor::live(name, slug, &person));
    }
    cast
}

/// People of a clinic, at the host of others.
const NAMES_OF_CLINICS: [&str; 4] =
    ["clinician of acme", "tenant admin of acme", "app of acme", "identity provider of acme"];

/// The sessions of those who look after clinics.
const STATES: [(&str, &[(&str, State)]); 2] = [
    (
        "platform operator",
        &[
            ("platform operator", State::Live),
            ("stale operator", State::Stale),
            ("idle operator", State::Idle),
            ("operator with one factor", State::OneFactor),
        ],
    ),
    (
        "partner admin",
        &[
            ("partner admin", State::Live),
            ("stale partner admin", State::Stale),
            ("idle partner admin", State::Idle),
            ("partner admin with one factor", State::OneFactor),
        ],
    ),
];
