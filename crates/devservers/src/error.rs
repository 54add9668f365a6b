//! What can go wrong with a private server; every message says what to do next.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// A private server could not be prepared, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A program is not installed where distributions put it, nor on `PATH`.
    #[error("`{program}` was not found: run `./dev up`, or install the package `{package}`")]
    MissingProgram {
        /// The executable that was looked for.
        program: &'static str,
        /// The Debian/Ubuntu package that has it.
        package: &'static str,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {source}; check its permissions and the free space", path.display())]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Root may not run PostgreSQL, and there is no other account to run it as.
    #[error(
        "PostgreSQL refuses to run as root and neither `postgres` nor `nobody` exists: create one of these accounts"
    )]
    NoAccount,
    /// The account that PostgreSQL runs as cannot get to its directory and the process may not lend it the right.
    #[error(
        "the account `{account}` cannot enter {}: choose a directory outside of private homes, or run as a user that is not root",
        path.display()
    )]
    Unreachable {
        /// The directory that cannot be entered.
        path: PathBuf,
        /// The account PostgreSQL runs as.
        account: String,
    },
    /// Unix socket paths are limited to 107 bytes by the kernel.
    #[error("the socket path {} has {length} bytes and 107 is the limit: choose a shorter directory", path.display())]
    SocketPathTooLong {
        /// The socket that was asked for.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The data directory was made by another major version.
    #[error(
        "{} holds data of PostgreSQL {found}, which is not installed: install `postgresql-{found}`, or drop the development data with `./dev reset`",
        path.display()
    )]
    VersionMismatch {
        /// The data directory.
        path: PathBuf,
        /// The major version that made it.
        found: String,
    },
    /// Another live server uses the data directory.
    #[error("process {pid} already serves {}: stop it first (another `./dev up`?)", path.display())]
    AlreadyRunning {
        /// The process that holds the directory.
        pid: u32,
        /// The data directory.
        path: PathBuf,
    },
    /// A setting's name is not one.
    #[error(
        "`{name}` is not the name of a setting: use letters, digits, `_` and `.`; values may not span lines"
    )]
    BadSetting {
        /// The offending name.
        name: String,
    },
    /// `initdb` failed.
    #[error("initdb failed ({status}); it said:\n{log}")]
    InitFailed {
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// The server ended before it was ready.
    #[error("{program} ended before it was ready ({status}); the end of its log:\n{log}")]
    ExitedEarly {
        /// Which server.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The server runs but did not answer in time.
    #[error("{program} was not ready after {seconds} s and was stopped; the end of its log:\n{log}")]
    NotReady {
        /// Which server.
        program: &'static str,
        /// How long was waited, in seconds.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
    /// A helper task of ours was torn down, because the runtime is shutting down.
    #[error(
        "the runtime shut down while a server was being prepared: start it from a runtime that stays alive"
    )]
    Interrupted,
}

impl ServerError {
    /// For `map_err`: names the action and the path of a failed file operation.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
