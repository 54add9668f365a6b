//! Finds the servers' programs where distributions put them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::ServerError;

/// The oldest major version of PostgreSQL that Carekeep supports.
const OLDEST_POSTGRES: u32 = 15;

/// The programs of one PostgreSQL version.
#[derive(Debug, Clone)]
pub(crate) struct PostgresPrograms {
    /// The server.
    pub(crate) postgres: PathBuf,
    /// What makes a data directory.
    pub(crate) initdb: PathBuf,
}

impl PostgresPrograms {
    /// The newest installed version, or the one of `major` (as in the file `PG_VERSION`).
    pub(crate) fn find(major: Option<&str>) -> Result<Self, ServerError> {
        let wanted = |version: u32| {
            version >= OLDEST_POSTGRES && major.is_none_or(|major| major == version.to_string())
        };
        let mut installed: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let dir = entry.ok()?.path();
                Some((dir.file_name()?.to_str()?.parse().ok()?, dir.join("bin")))
            })
            .filter(|(version, _)| wanted(*version))
            .collect();
        installed.sort_unstable();
        installed
            .into_iter()
            .rev()
            .find_map(|(_, bin)| Self::in_dir(&bin))
            .or_else(|| {
                let program = fs::canonicalize(on_path("postgres")?).ok()?;
                let found = Self::in_dir(program.parent()?)?;
                let version = found.version().ok()?;
                wanted(version.split('.').next()?.parse().ok()?).then_some(found)
            })
            .ok_or(ServerError::MissingProgram { program: "postgres", package: "postgresql" })
    }

    fn in_dir(bin: &Path) -> Option<Self> {
        let found = Self { postgres: bin.join("postgres"), initdb: bin.join("initdb") };
        (executable(&found.postgres) && executable(&found.initdb)).then_some(found)
    }

    /// The exact version, as `postgres --version` says it, e.g. `15.14`.
    pub(crate) fn version(&self) -> Result<String, ServerError> {
        let said = std::process::Command::new(&self.postgres)
            .arg("--version")
            .output()
            .map_err(ServerError::io("run", &self.postgres))?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().nth(2).unwrap_or("unknown");
        Ok(version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect())
    }
}

/// The Redis server.
pub(crate) fn redis_server() -> Result<PathBuf, ServerError> {
    find("redis-server", "redis-server")
}

/// `setpriv` of util-linux: sets the parent-death signal and drops root.
pub(crate) fn setpriv() -> Result<PathBuf, ServerError> {
    find("setpriv", "util-linux")
}

fn find(program: &'static str, package: &'static str) -> Result<PathBuf, ServerError> {
    on_path(program).ok_or(ServerError::MissingProgram { program, package })
}

/// Looks on `PATH`, then where system programs are. Links are not followed: `redis-server` acts by its name.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_programs_are_found_and_a_missing_one_names_its_package() {
        assert!(PostgresPrograms::find(None).expect("PostgreSQL").postgres.is_file());
        assert!(redis_server().expect("Redis").is_file());
        let error = find("carekeep-no-such-program", "some-package").expect_err("not there");
        let text = error.to_string();
        assert!(text.contains("some-package") && text.contains("./dev up"), "{text}");
    }
}
