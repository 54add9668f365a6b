//! Data directories: made by `initdb`, or for tests copied from one that was made before.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{PostgresOptions, SUPERUSER, version_of};
use crate::account::Account;
use crate::cache::cache_dir;
use crate::error::ServerError;
use crate::files;
use crate::programs::PostgresPrograms;
use crate::scratch::Scratch;
use crate::secret;

/// Holds the superuser's password, mode 0600, inside the data directory.
const PASSWORD_FILE: &str = "carekeep.superuser";
/// Counts the changes in how a cluster is made; a prepared cluster of another number is not used.
const RECIPE: u32 = 1;
/// How long another server's shutdown is waited for.
const STOPPING_LIMIT: Duration = Duration::from_secs(20);
/// How long is waited for another server to begin its shutdown: its parent may have died a moment ago.
const SERVING_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks at whether it is over.
const FREE_PAUSE: Duration = Duration::from_millis(20);

/// The programs that fit the data directory: those that made it, or the newest.
pub(super) fn programs_for(data_dir: &Path) -> Result<PostgresPrograms, ServerError> {
    let found = version_of(data_dir);
    match (PostgresPrograms::find(found.as_deref()), found) {
        (Err(ServerError::MissingProgram { .. }), Some(found)) if PostgresPrograms::find(None).is_ok() => {
            Err(ServerError::VersionMismatch { path: data_dir.to_owned(), found })
        }
        (programs, _) => programs,
    }
}

/// Makes the cluster when there is none and returns the superuser's password.
pub(super) fn ensure(
    options: &PostgresOptions,
    programs: &PostgresPrograms,
    account: &Account,
) -> Result<String, ServerError> {
    let data_dir = &options.data_dir;
    if version_of(data_dir).is_none() {
        let unfinished = unfinished(data_dir);
        files::remove_tree(&unfinished)?;
        if let Some(parent) = data_dir.parent() {
            fs::create_dir_all(parent).map_err(ServerError::io("create", parent))?;
        }
        if options.durable {
            initdb(&unfinished, programs, account)?;
        } else {
            files::copy_tree(&template(programs, account)?, &unfinished, account)?;
        }
        // All or nothing: a start that was interrupted leaves no half of a cluster under the real name.
        fs::rename(&unfinished, data_dir).map_err(ServerError::io("move a new cluster to", data_dir))?;
    } else if !account.owns(data_dir) {
        files::own_tree(data_dir, account)?;
    }
    let path = data_dir.join(PASSWORD_FILE);
    let password = fs::read_to_string(&path).map_err(ServerError::io("read", &path))?;
    Ok(password.trim().to_owned())
}

fn unfinished(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

/// Makes a cluster at `data_dir`, which does not exist yet, with a random password for the superuser.
fn initdb(data_dir: &Path, programs: &PostgresPrograms, account: &Account) -> Result<(), ServerError> {
    files::make_dir(data_dir, 0o700)?;
    account.own(data_dir)?;
    let scratch = Scratch::new()?;
    let password_file = scratch.path().join("password");
    let password = secret::generate();
    secret::write_private(&password_file, &password)?;
    account.own(&password_file)?;
    let mut command = account.command(&[&data_dir.join("base"), &password_file])?;
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&programs.initdb)
        .args([
            "--username",
            SUPERUSER,
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
        ])
        .args(["--data-checksums", "--no-instructions", "--no-sync", "--pwfile"])
        .arg(&password_file)
        .arg("--pgdata")
        .arg(data_dir)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
        .current_dir(data_dir)
        .stdin(Stdio::null());
    let done = command.output().map_err(ServerError::io("run", &programs.initdb))?;
    if !done.status.success() {
        let said = [done.stdout, done.stderr].concat();
        return Err(ServerError::InitFailed {
            status: done.status,
            log: String::from_utf8_lossy(&said).into_owned(),
        });
    }
    let kept = data_dir.join(PASSWORD_FILE);
    secret::write_private(&kept, &password)?;
    account.own(&kept)
}

/// The prepared cluster for tests: made once per server version, by one process while others wait for it.
fn template(programs: &PostgresPrograms, account: &Account) -> Result<PathBuf, ServerError> {
    let cache = cache_dir();
    files::make_dir(&cache, 0o700)?;
    let name = format!("pg-template-{}-{RECIPE}", programs.version()?);
    let finished = cache.join(&name);
    if version_of(&finished).is_some() {
        return Ok(finished);
    }
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(ServerError::io("create", &lock_path))?;
    lock.lock().map_err(ServerError::io("lock", &lock_path))?;
    if version_of(&finished).is_none() {
        // It is made where the account can get to, then copied into the cache under a name that nobody uses yet.
        let scratch = Scratch::new()?;
        let made = scratch.path().join("pg");
        initdb(&made, programs, account)?;
        let unfinished = unfinished(&finished);
        files::remove_tree(&unfinished)?;
        files::copy_tree(&made, &unfinished, &Account::Own)?;
        fs::rename(&unfinished, &finished).map_err(ServerError::io("move a template to", &finished))?;
    }
    Ok(finished)
}

/// Waits until no server uses the data directory: after our own death by `kill -9` the old one is still stopping.
/// A lock file that no such server holds is removed, since its number may belong to somebody else by now.
pub(super) async fn await_free(data_dir: &Path) -> Result<(), ServerError> {
    let start = Instant::now();
    while let Some((pid, stopping)) = holder(data_dir) {
        let limit = if stopping { STOPPING_LIMIT } else { SERVING_LIMIT };
        if start.elapsed() > limit {
            return Err(ServerError::AlreadyRunning { pid, path: data_dir.to_owned() });
        }
        tokio::time::sleep(FREE_PAUSE).await;
    }
    let lock = lock_file(data_dir);
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ServerError::io("remove", &lock)(error))
        }
        _ => Ok(()),
    }
}

fn lock_file(data_dir: &Path) -> PathBuf {
    data_dir.join("postmaster.pid")
}

/// The live process that the lock file names, if it works in this data directory, and whether it is stopping.
fn holder(data_dir: &Path) -> Option<(u32, bool)> {
    let lock = fs::read_to_string(lock_file(data_dir)).ok()?;
    let pid: u32 = lock.lines().next()?.trim().parse().ok()?;
    let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    // The eighth line is the server's state (PostgreSQL, miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
    let stopping = lock.lines().nth(7).is_some_and(|state| state.trim() == "stopping");
    (works_in == fs::canonicalize(data_dir).ok()?).then_some((pid, stopping))
}
