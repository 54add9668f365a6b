//! A private PostgreSQL.

mod cluster;
mod config;
mod ready;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use self::config::Settings;
use crate::account::Account;
use crate::error::ServerError;
use crate::files;
use crate::process::{Guarded, Launch};
use crate::programs::PostgresPrograms;
use crate::scratch::Scratch;

/// The port, which on a unix socket is only a part of its name.
const SOCKET_PORT: u16 = 5432;
/// Crash recovery after a hard kill is a part of this, hence the length.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A fast shutdown writes a checkpoint.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// An immediate shutdown, used on drop, writes nothing.
const DROP_LIMIT: Duration = Duration::from_secs(6);
/// The name of the superuser.
const SUPERUSER: &str = "postgres";
/// Longest socket path that the kernel takes, in bytes (unix(7): 108 with the final zero).
const LONGEST_SOCKET: usize = 107;
/// How often a start is tried again while a backend of a killed server still holds the shared memory.
const START_TRIES: u32 = 20;

/// How to run a [`Postgres`].
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where the data lives; made when absent, used as it is when it holds data of an installed version.
    pub data_dir: PathBuf,
    /// Whether a commit survives a power failure (`fsync`). `false` also copies a prepared cluster instead of making
    /// one: a test's server starts in less than half a second.
    pub durable: bool,
    /// Where the socket is made; a [`Scratch`] directory when `None`.
    pub socket_dir: Option<PathBuf>,
    /// Whether it also listens on a free loopback port, for clients that have no unix sockets.
    pub tcp: bool,
    /// Settings of `postgresql.conf` that override ours, as (name, value).
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// Fast and forgetful, on a unix socket only.
    #[must_use]
    pub fn for_tests(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), durable: false, socket_dir: None, tcp: false, settings: Vec::new() }
    }

    /// With `fsync`, on a unix socket only.
    #[must_use]
    pub fn durable(data_dir: impl Into<PathBuf>) -> Self {
        Self { durable: true, ..Self::for_tests(data_dir) }
    }
}

/// A PostgreSQL server that is a child of this process and ends with it, however that ends.
///
/// Every role, also the superuser, needs its password on every way in (SCRAM). Dropping it stops the server at once
/// (an immediate shutdown: committed data is safe when `durable`); prefer [`stop`](Self::stop). Data stays.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    programs: PostgresPrograms,
    account: Account,
    socket_dir: PathBuf,
    port: u16,
    password: String,
    process: Option<Guarded>,
    _scratch: Option<Scratch>,
}

impl Postgres {
    /// Makes the data directory when it is absent, starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// See [`ServerError`]; when it was started and did not come up, the error carries the end of its log.
    pub async fn start(options: PostgresOptions) -> Result<Self, ServerError> {
        let prepared = tokio::task::spawn_blocking(move || Self::prepare(options));
        let mut server = prepared.await.map_err(|_| ServerError::Interrupted)??;
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it again on the same socket, port and data after [`stop`](Self::stop) or [`kill`](Self::kill); nothing
    /// happens while it runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_again(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            return Ok(());
        }
        cluster::await_free(&self.options.data_dir).await?;
        let mut tries = 0;
        loop {
            let (_, log_start) = files::open_log(&self.log_path())?;
            let failed = match self.launch(log_start).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            tries += 1;
            let log = files::tail(&self.log_path(), log_start);
            if !passes_by_itself(&log) || tries >= START_TRIES {
                return Err(failed);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A fast shutdown: sessions are ended, a checkpoint is written. Killed when that takes more than 30 s.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::INT, STOP_LIMIT).await;
        }
    }

    /// `kill -9`, as a crash or the out-of-memory killer would do. Returns when the server's process is gone; its
    /// sessions end by themselves within moments.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// The directory with the socket: `host` for libpq and sqlx.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The port: a part of the socket's name, and the loopback port when `tcp` was asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name of the superuser.
    #[must_use]
    pub fn superuser(&self) -> &str {
        SUPERUSER
    }

    /// The password of the superuser: random per data directory (per machine for those of tests).
    #[must_use]
    pub fn superuser_password(&self) -> &str {
        &self.password
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().filter(|process| process.status().is_none()).map(Guarded::id)
    }

    /// Whether the server's process is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.options.data_dir.join("server.log")
    }

    /// A URL for libpq, sqlx and sea-orm by the unix socket; role, password and database may have any characters.
    #[must_use]
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        self.url_at(&encode(&self.socket_dir.to_string_lossy()), role, password, database)
    }

    /// The same by the loopback port; `None` when `tcp` was not asked for.
    #[must_use]
    pub fn tcp_url(&self, role: &str, password: &str, database: &str) -> Option<String> {
        self.options.tcp.then(|| self.url_at("127.0.0.1", role, password, database))
    }

    /// A URL for the superuser by the unix socket.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, &self.password, database)
    }

    fn url_at(&self, host: &str, role: &str, password: &str, database: &str) -> String {
        let (role, password, database) = (encode(role), encode(password), encode(database));
        format!("postgres://{role}:{password}@{host}:{}/{database}", self.port)
    }

    /// Everything that blocks: finds the programs, makes the cluster and the directory for the socket.
    fn prepare(mut options: PostgresOptions) -> Result<Self, ServerError> {
        options.data_dir =
            std::path::absolute(&options.data_dir).map_err(ServerError::io("resolve", &options.data_dir))?;
        let account = Account::for_postgres()?;
        let programs = cluster::programs_for(&options.data_dir)?;
        let scratch = if options.socket_dir.is_none() { Some(Scratch::new()?) } else { None };
        let socket_dir = match (&options.socket_dir, &scratch) {
            (Some(dir), _) => std::path::absolute(dir).map_err(ServerError::io("resolve", dir))?,
            (None, Some(scratch)) => scratch.path().join("s"),
            (None, None) => options.data_dir.clone(),
        };
        let port = if options.tcp { free_port()? } else { SOCKET_PORT };
        let socket = socket_dir.join(format!(".s.PGSQL.{port}"));
        let length = socket.as_os_str().len();
        if length > LONGEST_SOCKET {
            return Err(ServerError::SocketPathTooLong { path: socket, length });
        }
        files::make_dir(&socket_dir, 0o700)?;
        if !account.owns(&socket_dir) {
            account.own(&socket_dir)?;
        }
        let password = cluster::ensure(&options, &programs, &account)?;
        Ok(Self { options, programs, account, socket_dir, port, password, process: None, _scratch: scratch })
    }

    /// Writes the configuration, starts the process and waits until it takes connections or is given up.
    async fn launch(&mut self, log_start: u64) -> Result<(), ServerError> {
        let data_dir = self.options.data_dir.clone();
        Settings { options: &self.options, socket_dir: &self.socket_dir, port: self.port }
            .write(&self.account)?;
        let log = self.log_path();
        self.account.own(&log)?;
        let launch = Launch {
            prefix: self.account.command(&[&data_dir.join("base"), &self.socket_dir.join("socket")])?,
            death_signal: "INT",
            program: &self.programs.postgres,
            arguments: &["-D", &data_dir.to_string_lossy()],
            dir: &data_dir,
            log: &log,
        };
        let mut process = launch.spawn()?;
        let socket = self.socket_dir.join(format!(".s.PGSQL.{}", self.port));
        let ready = ready::wait(&socket, &process, START_LIMIT).await;
        let tail = || files::tail(&log, log_start);
        match ready {
            ready::Outcome::Ready => self.process = Some(process),
            ready::Outcome::Ended(status) => {
                return Err(ServerError::ExitedEarly { program: "postgres", status, log: tail() });
            }
            ready::Outcome::TooSlow => {
                process.stop(Signal::QUIT, DROP_LIMIT).await;
                let seconds = START_LIMIT.as_secs();
                return Err(ServerError::NotReady { program: "postgres", seconds, log: tail() });
            }
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop_blocking(Signal::QUIT, DROP_LIMIT);
        }
    }
}

/// A failure that is over in a moment, by what the server says: a backend of a killed server is still ending.
fn passes_by_itself(log: &str) -> bool {
    log.contains("pre-existing shared memory block")
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, ServerError> {
    let any = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(any.map_err(ServerError::io("find a free port on", Path::new("127.0.0.1")))?.port())
}

/// Percent-encodes everything that is not unreserved (RFC 3986, 2.3).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The major version that made `data_dir`, if it holds a cluster.
fn version_of(data_dir: &Path) -> Option<String> {
    fs::read_to_string(data_dir.join("PG_VERSION")).ok().map(|version| version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_every_character_of_its_parts() {
        assert_eq!(encode("/tmp/ck-1/s"), "%2Ftmp%2Fck-1%2Fs");
        assert_eq!(encode("a:b@c/d?e#f%é"), "a%3Ab%40c%2Fd%3Fe%23f%25%C3%A9");
    }
}
