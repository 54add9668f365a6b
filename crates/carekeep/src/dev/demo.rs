//! Demo people and sample data, made through the public API: each person is invited, enrols a password and a code
//! generator, and from then on signs in like anybody. What scripts need to sign in is written to `demo.json`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use carekeep_identity::{storage::PgRepository, totp};
use carekeep_kernel::{Clock, OsRandom, SystemClock, random};
use carekeep_tenancy::{DemoPerson, TenantFile, TenantRecord};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DevOptions, servers::write_private};
use crate::{
    cli::say,
    client::{Target, TenantClient},
    error::Failure,
    import,
    serve::Running,
};

/// What `demo.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Demo {
    internal: String,
    tenants: Vec<DemoTenant>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DemoTenant {
    slug: String,
    name: String,
    base: String,
    people: Vec<DemoLogin>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct DemoLogin {
    role: String,
    name: String,
    id: String,
    login: String,
    password: String,
    totp_secret: String,
}

/// Says that a first start is under way. Passwords are nowhere but in `demo.json`, which comes last: what is half made
/// when a start is interrupted is of no use to anybody.
const UNDER_WAY: &str = "first-start";

/// Whether a first start was interrupted here.
pub(super) fn is_half_made(state: &Path) -> bool {
    state.join(UNDER_WAY).exists()
}

/// Makes what is not there yet.
pub(super) async fn prepare(
    running: &Running,
    files: &[TenantFile],
    tenants: &[TenantRecord],
    options: &DevOptions,
) -> Result<Demo, Failure> {
    running.vault.directory().refresh().await?;
    let (path, under_way) = (options.state.join("demo.json"), options.state.join(UNDER_WAY));
    if !path.exists() {
        write_private(&under_way, "")?;
    }
    let known: Vec<DemoTenant> = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str::<Demo>(&text).ok())
        .map(|demo| demo.tenants)
        .unwrap_or_default();
    let mut demo = Demo { internal: format!("http://{}", running.internal), tenants: Vec::new() };
    for (index, (file, record)) in files.iter().zip(tenants).enumerate() {
        let host = record.hosts.first().cloned().unwrap_or_default();
        let base = format!("https://{host}:{}", running.public.port());
        let mut tenant = known
            .iter()
            .find(|tenant| tenant.slug == record.slug)
            .map(|tenant| DemoTenant {
                base: base.clone(),
                people: tenant.people.clone(),
                ..DemoTenant::new(file)
            })
            .unwrap_or_else(|| DemoTenant { base: base.clone(), ..DemoTenant::new(file) });
        if tenant.people.is_empty() {
            let visit = Visit::new(running, options, host, base)?;
            let sessions = enrol(running, &visit, file, record, &mut tenant).await?;
            if index == 0 && !options.no_data {
                sample(&visit, sessions, &mut tenant, options).await?;
            }
        }
        demo.tenants.push(tenant);
    }
    let text = serde_json::to_string_pretty(&demo).map_err(|error| Failure::message(error.to_string()))?;
    write_private(&path, &text)?;
    if under_way.exists() {
        std::fs::remove_file(&under_way).map_err(Failure::file(&under_way))?;
    }
    Ok(demo)
}

impl DemoTenant {
    fn new(file: &TenantFile) -> Self {
        Self {
            slug: file.tenant.slug.clone(),
            name: file.tenant.name.clone(),
            base: String::new(),
            people: Vec::new(),
        }
    }
}

/// How to reach one tenant of this installation.
struct Visit {
    host: String,
    base: String,
    address: SocketAddr,
    authority: Vec<u8>,
}

impl Visit {
    fn new(running: &Running, options: &DevOptions, host: String, base: String) -> Result<Self, Failure> {
        let path = options.state.join("tls").join("dev-ca.pem");
        let authority = std::fs::read(&path).map_err(Failure::file(&path))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, running.public.port()));
        Ok(Self { host, base, address, authority })
    }

    fn client(&self) -> Result<TenantClient, Failure> {
        TenantClient::new(&Target {
            base: &self.base,
            host: &self.host,
            address: Some(self.address),
            authority: Some(&self.authority),
        })
    }
}

/// A person's session, fresh from enrolment.
struct Session {
    role: String,
    person: String,
    client: TenantClient,
}

/// Invites and enrols the tenant's demo people; the first of the file is its first administrator.
async fn enrol(
    running: &Running,
    visit: &Visit,
    file: &TenantFile,
    record: &TenantRecord,
    tenant: &mut DemoTenant,
) -> Result<Vec<Session>, Failure> {
    let Some((admin, others)) = file.demo_people.split_first() else { return Ok(Vec::new()) };
    let first = carekeep_gateway::api::identity::first_admin_invite(
        &running.vault,
        record.id,
        &admin.login,
        &admin.name,
    )
    .await
    .map_err(failed)?;
    let id = first.person.to_string();
    let mut sessions = vec![join(visit, admin, &id, first.token.reveal(), tenant).await?];
    for person in others {
        let body = json!({"login": person.login, "name": person.name, "roles": person.roles});
        let Some(admin) = sessions.first_mut() else { break };
        let invited = admin.client.post("/api/v1/people", &body).await?;
        let (id, token) = (text(&invited, "person"), text(&invited, "token"));
        sessions.push(join(visit, person, &id, &token, tenant).await?);
        approve(running, record, &invited).await?;
    }
    Ok(sessions)
}

/// Approves roles that the administrator cannot give alone, as the platform's operator: nobody else is there yet.
async fn approve(running: &Running, record: &TenantRecord, invited: &Value) -> Result<(), Failure> {
    let requests = invited.get("requests").and_then(Value::as_array).into_iter().flatten();
    for request in requests.filter_map(|request| text(request, "id").parse().ok()) {
        let people = PgRepository::open(&running.vault, record.id).await.map_err(failed)?;
        people.decide_as_operator(request, true).await.map_err(failed)?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::message(error.to_string())
}

/// What a person does with an invitation.
async fn join(
    visit: &Visit,
    person: &DemoPerson,
    id: &str,
    token: &str,
    tenant: &mut DemoTenant,
) -> Result<Session, Failure> {
    say(&format!("  {} ({}) ...", person.name, person.roles.join(", ")));
    let mut client = visit.client()?;
    client.post("/api/v1/invites/accept", &json!({ "token": token })).await?;
    let password = BASE32_NOPAD.encode(&random::bytes::<15>(&OsRandom)).to_ascii_lowercase();
    client.post("/api/v1/enrol/password", &json!({ "password": password })).await?;
    let setup = client.post("/api/v1/enrol/totp/begin", &json!({})).await?;
    let secret = text(&setup, "secret");
    let code = code(&secret)?;
    client.post("/api/v1/enrol/totp/confirm", &json!({ "code": code })).await?;
    let role = person.roles.first().cloned().unwrap_or_default();
    tenant.people.push(DemoLogin {
        role: role.clone(),
        name: person.name.clone(),
        id: id.to_owned(),
        login: person.login.clone(),
        password,
        totp_secret: secret,
    });
    Ok(Session { role, person: id.to_owned(), client })
}

fn code(secret: &str) -> Result<String, Failure> {
    let bytes = BASE32_NOPAD.decode(secret.trim_end_matches('=').as_bytes()).ok();
    let bytes = bytes
        .and_then(|bytes| <[u8; 20]>::try_from(bytes).ok())
        .ok_or_else(|| Failure::message("the server gave a TOTP secret that is not 20 bytes: report this"))?;
    Ok(totp::code_at(&totp::TotpSecret::from_bytes(bytes), SystemClock.now()))
}

/// Imports sample data as the importer, puts the clinicians and nurses on the patients' care teams as the manager, and
/// gives one patient an account as a clinician.
async fn sample(
    visit: &Visit,
    mut sessions: Vec<Session>,
    tenant: &mut DemoTenant,
    options: &DevOptions,
) -> Result<(), Failure> {
    let find = |role: &str| sessions.iter().find(|session| session.role == role);
    let (Some(importer), Some(manager)) = (find("service_account"), find("clinic_manager")) else {
        return Ok(());
    };
    let Some(folder) = data_folder(options) else {
        say("no sample data: `./dev up` makes some, or name a folder of FHIR bundles with --data");
        return Ok(());
    };
    let paths = import::bundles(&folder)?;
    let began = std::time::Instant::now();
    let imported = import::import(&importer.client, &paths, |done, total, stored| {
        say(&format!("  imported bundle {done} of {total}: {stored} resources"));
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    say(&format!(
        "{} of {} entries stored in {seconds:.1} s at {}; {} refused:",
        imported.stored_total(),
        imported.entries,
        tenant.name,
        imported.refused_total()
    ));
    imported.refused.iter().for_each(|(reason, count)| say(&format!("  {count:>6} {reason}")));
    for session in sessions.iter().filter(|session| matches!(&*session.role, "clinician" | "nurse")) {
        for patient in &imported.patients {
            manager.client.put(&format!("/api/v1/patients/{patient}/care-team/{}", session.person)).await?;
        }
    }
    let clinician = sessions.iter_mut().find(|session| session.role == "clinician");
    match (clinician, imported.patients.first()) {
        (Some(clinician), Some(patient)) => patients_account(visit, clinician, patient, tenant).await,
        _ => Ok(()),
    }
}

/// Has the clinician invite a patient, who joins.
async fn patients_account(
    visit: &Visit,
    clinician: &mut Session,
    patient: &str,
    tenant: &mut DemoTenant,
) -> Result<(), Failure> {
    // Not the chart's name: that is health data, which is in no file and on no terminal.
    let (login, name) = ("patient".to_owned(), "Demo Patient".to_owned());
    let person = DemoPerson { login, name, roles: vec!["patient".to_owned()] };
    let path = format!("/api/v1/patients/{patient}/account");
    let body = json!({"login": person.login, "name": person.name});
    let invited = clinician.client.post(&path, &body).await?;
    join(visit, &person, &text(&invited, "person"), &text(&invited, "token"), tenant).await?;
    Ok(())
}

fn text(body: &Value, name: &str) -> String {
    body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The folder named by `--data`, or the one that `./dev up` generated.
fn data_folder(options: &DevOptions) -> Option<PathBuf> {
    let generated: &Path = &options.state.join("sample");
    options.data.clone().or_else(|| generated.is_dir().then(|| generated.to_owned()))
}

impl Demo {
    pub(super) fn announce(&self, state: &Path, took: Duration) {
        for tenant in &self.tenants {
            say(&format!("\n{}  {}", tenant.name, tenant.base));
            for person in &tenant.people {
                say(&format!(
                    "  {:<16} {:<16} password {}  TOTP secret {}",
                    person.role, person.login, person.password, person.totp_secret
                ));
            }
        }
        if let Some((tenant, person)) = self.clinician() {
            say(&format!("\nFor an authenticator app, {} at {}:", person.login, tenant.name));
            let url = format!(
                "otpauth://totp/{}:{}?secret={}&issuer={}",
                tenant.slug, person.login, person.totp_secret, tenant.slug
            );
            if let Ok(picture) = totp::qr_terminal(&url) {
                say(&picture);
            }
        }
        say(&format!("health, metrics, control API: {}", self.internal));
        say(&format!(
            "for scripts: {}; certificate authority: {}",
            state.join("demo.json").display(),
            state.join("tls/dev-ca.pem").display()
        ));
        say(&format!("\nCarekeep is up after {:.1} s. Ctrl-C stops everything.", took.as_secs_f64()));
    }

    fn clinician(&self) -> Option<(&DemoTenant, &DemoLogin)> {
        self.tenants.iter().find_map(|tenant| {
            Some((tenant, tenant.people.iter().find(|person| person.role == "clinician")?))
        })
    }
}
