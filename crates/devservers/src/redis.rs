//! A private Redis.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::ServerError;
use crate::files;
use crate::process::{Guarded, Launch};
use crate::programs;
use crate::scratch::Scratch;
use crate::secret;

/// Loading a dump is a part of this.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Saving on shutdown is a part of this.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Between two questions whether it is ready.
const PAUSE: Duration = Duration::from_millis(3);
/// The name of its configuration in its directory; it holds the password.
const CONFIG: &str = "redis.conf";

/// How to run a [`Redis`].
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Where its configuration, log and data live; made when absent.
    pub dir: PathBuf,
    /// Whether data survives a restart (append-only file, synced every second).
    pub persistence: bool,
    /// Whether it also listens on a free loopback port, for clients that have no unix sockets.
    pub tcp: bool,
}

impl RedisOptions {
    /// In memory only, on a unix socket only.
    #[must_use]
    pub fn for_tests(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), persistence: false, tcp: false }
    }
}

/// A Redis server that is a child of this process and ends with it, however that ends. It always needs its password,
/// which is random per start of the handle. Dropping it ends the server.
#[derive(Debug)]
pub struct Redis {
    options: RedisOptions,
    program: PathBuf,
    setpriv: PathBuf,
    password: String,
    port: u16,
    process: Option<Guarded>,
    scratch: Scratch,
}

impl Redis {
    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// See [`ServerError`]; when it was started and did not come up, the error carries the end of its log.
    pub async fn start(mut options: RedisOptions) -> Result<Self, ServerError> {
        options.dir = std::path::absolute(&options.dir).map_err(ServerError::io("resolve", &options.dir))?;
        files::make_dir(&options.dir, 0o700)?;
        let port = if options.tcp { free_port()? } else { 0 };
        let mut server = Self {
            options,
            program: programs::redis_server()?,
            setpriv: programs::setpriv()?,
            password: secret::generate(),
            port,
            process: None,
            scratch: Scratch::new()?,
        };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it again on the same socket, port and password after [`stop`](Self::stop) or [`kill`](Self::kill);
    /// nothing happens while it runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_again(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            return Ok(());
        }
        let config = self.options.dir.join(CONFIG);
        secret::write_private(&config, &self.config())?;
        let log = self.log_path();
        let (_, log_start) = files::open_log(&log)?;
        let launch = Launch {
            prefix: Command::new(&self.setpriv),
            death_signal: "TERM",
            program: &self.program,
            arguments: &[&config.to_string_lossy()],
            dir: &self.options.dir,
            log: &log,
        };
        let mut process = launch.spawn()?;
        let ready = timeout(START_LIMIT, self.answers(&process)).await;
        if ready == Ok(true) {
            self.process = Some(process);
            return Ok(());
        }
        let ended = process.status();
        process.kill().await;
        let log = files::tail(&log, log_start);
        Err(match ended {
            Some(status) => ServerError::ExitedEarly { program: "redis-server", status, log },
            None => ServerError::NotReady { program: "redis-server", seconds: START_LIMIT.as_secs(), log },
        })
    }

    /// An orderly shutdown; killed when that takes more than 15 s.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(Signal::TERM, STOP_LIMIT).await;
        }
    }

    /// `kill -9`. Returns when the process is gone.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// A URL for the `redis` crate by the unix socket, with the password: a secret.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}?pass={}", self.socket().display(), self.password)
    }

    /// A URL by the loopback port, with the password; `None` when `tcp` was not asked for.
    #[must_use]
    pub fn tcp_url(&self) -> Option<String> {
        self.options.tcp.then(|| format!("redis://:{}@127.0.0.1:{}", self.password, self.port))
    }

    /// The unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path().join("redis.sock")
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> &str {
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
        self.options.dir.join("redis.log")
    }

    fn config(&self) -> String {
        let (socket, dir) = (self.socket(), &self.options.dir);
        let append = if self.options.persistence { "yes" } else { "no" };
        format!(
            "port {}\nbind 127.0.0.1\nprotected-mode yes\nunixsocket {}\nunixsocketperm 700\nrequirepass {}\n\
             dir {}\ndaemonize no\nlogfile \"\"\nloglevel notice\nsave \"\"\nappendonly {append}\n\
             maxmemory-policy noeviction\n",
            self.port,
            quote(&socket),
            self.password,
            quote(dir),
        )
    }

    /// Asks until it answers (true) or has ended (false).
    async fn answers(&self, process: &Guarded) -> bool {
        let (socket, password) = (self.socket(), &self.password);
        loop {
            if process.status().is_some() {
                return false;
            }
            if matches!(timeout(Duration::from_secs(2), ping(&socket, password)).await, Ok(Ok(true))) {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop_blocking(Signal::TERM, Duration::from_secs(5));
        }
    }
}

/// Authenticates and pings; one that still loads its data answers with an error.
async fn ping(socket: &Path, password: &str) -> std::io::Result<bool> {
    const EXPECTED: &[u8] = b"+OK\r\n+PONG\r\n";
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes()).await?;
    let mut answer = [0_u8; EXPECTED.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer == EXPECTED)
}

/// A path as an argument in `redis.conf`.
fn quote(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\""))
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, ServerError> {
    let any = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(any.map_err(ServerError::io("find a free port on", Path::new("127.0.0.1")))?.port())
}
