//! A running `carekeep dev`, and people who sign in to it.

use std::{
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use carekeep::client::{Target, TenantClient};
use carekeep_identity::totp::{TotpSecret, code_at};
use carekeep_kernel::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::http::Http;

/// The binary under test.
pub(crate) const CAREKEEP: &str = env!("CARGO_BIN_EXE_carekeep");

/// A `carekeep dev` process; stopped, with all its servers, when dropped.
pub(crate) struct Installation {
    child: Child,
    pub(crate) state: PathBuf,
    pub(crate) demo: Value,
    /// All that it printed until it was up.
    pub(crate) said: String,
    pub(crate) started_in: Duration,
    _folder: tempfile::TempDir,
}

impl Installation {
    /// Starts with the bundles of a folder, or with none.
    pub(crate) fn start(data: Option<&Path>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), data, "1")
    }

    /// The same with rate limits so wide that an importer is not slowed down by them.
    pub(crate) fn start_unlimited(data: Option<&Path>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), data, "1000")
    }

    /// Starts after a first start that was killed while the people enrolled, so that some are there and their passwords
    /// are not.
    pub(crate) fn start_after_an_interruption() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut child = Self::spawn(&state, None, "1");
        let lines = lines(&mut child);
        let said = await_line(&lines, "(clinician) ...");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said.is_ok() && !state.join("demo.json").exists(), "{said:?}");
        Self::start_in(folder, None, "1")
    }

    fn start_in(folder: tempfile::TempDir, data: Option<&Path>, limit_factor: &str) -> Self {
        let state = folder.path().join("state");
        let began = Instant::now();
        let mut child = Self::spawn(&state, data, limit_factor);
        let said = until_up(&mut child);
        let demo = serde_json::from_slice(&std::fs::read(state.join("demo.json")).unwrap()).unwrap();
        Self { child, state, demo, said, started_in: began.elapsed(), _folder: folder }
    }

    fn spawn(state: &Path, data: Option<&Path>, limit_factor: &str) -> Child {
        let mut command = Command::new(CAREKEEP);
        let tenants = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tenants");
        command.arg("dev").arg("--state").arg(state).arg("--tenants").arg(tenants).args(["--port", "0"]);
        command.args(["--limit-factor", limit_factor]);
        match data {
            Some(data) => command.arg("--data").arg(data),
            None => command.arg("--no-data"),
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Stops it and starts it again on the same state.
    pub(crate) fn restart(mut self) -> Self {
        self.stop();
        let folder = std::mem::replace(&mut self._folder, tempfile::tempdir().unwrap());
        Self::start_in(folder, None, "1")
    }

    /// Asks it to stop, as Ctrl-C does, and gives what it still printed.
    pub(crate) fn stop(&mut self) -> String {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        let mut rest = String::new();
        if let Some(errors) = self.child.stderr.as_mut() {
            let _ = errors.read_to_string(&mut rest);
        }
        rest
    }

    pub(crate) fn tenant(&self, slug: &str) -> &Value {
        self.demo["tenants"].as_array().unwrap().iter().find(|tenant| tenant["slug"] == slug).unwrap()
    }

    /// A demo person of a tenant.
    pub(crate) fn person(&self, slug: &str, role: &str) -> &Value {
        let people = self.tenant(slug)["people"].as_array().unwrap();
        people.iter().find(|person| person["role"] == role).unwrap()
    }

    /// A client of a tenant that is not signed in.
    pub(crate) fn client(&self, slug: &str) -> TenantClient {
        let base = self.tenant(slug)["base"].as_str().unwrap().to_owned();
        self.client_at(slug, &base)
    }

    /// A client that sees statuses.
    pub(crate) fn http(&self, slug: &str) -> Http {
        let port = self.tenant(slug)["base"].as_str().unwrap().rsplit(':').next().unwrap().parse();
        Http::new(slug, port.unwrap(), &self.authority())
    }

    /// The same at another process of the installation.
    pub(crate) fn client_at(&self, slug: &str, base: &str) -> TenantClient {
        let authority = std::fs::read(self.authority()).unwrap();
        let port: u16 = base.rsplit(':').next().unwrap().parse().unwrap();
        TenantClient::new(&Target {
            base,
            host: &format!("{slug}.localhost"),
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            authority: Some(&authority),
        })
        .unwrap()
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.state.join("tls/dev-ca.pem")
    }

    /// Signs in by password and code. A code works once per half minute, so a used one is waited out.
    pub(crate) async fn signed_in(&self, slug: &str, role: &str) -> TenantClient {
        let person = self.person(slug, role);
        let mut client = self.client(slug);
        let body = json!({"login": person["login"], "password": person["password"]});
        client.post("/api/v1/sign-in/password", &body).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(65);
        loop {
            let code = code(person["totp_secret"].as_str().unwrap());
            match client.post("/api/v1/sign-in/totp", &json!({ "code": code })).await {
                Ok(_) => return client,
                Err(error) => assert!(Instant::now() < deadline, "no code was accepted: {error}"),
            }
            next_code().await;
        }
    }

    pub(crate) fn config(&self) -> String {
        self.state.join("carekeep.toml").display().to_string()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.stop();
    }
}

fn until_up(child: &mut Child) -> String {
    let lines = lines(child);
    await_line(&lines, "is up after").unwrap_or_else(|said| {
        let _ = child.kill();
        let mut errors = String::new();
        let _ = child.stderr.as_mut().unwrap().read_to_string(&mut errors);
        panic!("the product did not come up:\n{said}\n{errors}")
    })
}

/// What it prints, line by line.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// All that was printed up to a line with this in it; the same as an error if that does not come.
fn await_line(lines: &mpsc::Receiver<String>, part: &str) -> Result<String, String> {
    let mut said = String::new();
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                said.push_str(&line);
                said.push('\n');
                if line.contains(part) {
                    return Ok(said);
                }
            }
            Err(_) => return Err(said),
        }
    }
}

/// Waits until an authenticator app shows another code.
pub(crate) async fn next_code() {
    let into = SystemClock.now().as_seconds().rem_euclid(30);
    tokio::time::sleep(Duration::from_secs(u64::try_from(31 - into).unwrap())).await;
}

/// The present code of a Base32 secret.
pub(crate) fn code(secret: &str) -> String {
    let bytes = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    code_at(&TotpSecret::from_bytes(bytes.try_into().unwrap()), SystemClock.now())
}
