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
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let dir = entry.ok()?.path();
                Some((dir.file_name()?.to_str()?.parse().ok()?, dir.join("bin")))
            })
            .filter(|(version, _)| *version >= OLDEST_POSTGRES)
            .collect();
        versions.sort_unstable();
        let wanted = |version: u32| major.is_none_or(|major| major == version.to_string());
        versions
            .into_iter()
            .rev()
            .filter(|(version, _)| wanted(*version))
            .map(|(_, bin)| bin)
            .chain(on_path("postgres").and_then(|program| Some(program.parent()?.to_owned())))
            .map(|bin| Self { postgres: bin.join("postgres"), initdb: bin.join("initdb") })
            .find(|found| executable(&found.postgres) && executable(&found.initdb))
            .ok_or(ServerError::MissingProgram { program: "postgres", package: "postgresql" })
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

/// Looks on `PATH`, then where system programs are; links are followed, so that siblings can be found beside.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| executable(file))
        .map(|file| fs::canonicalize(&file).unwrap_or(file))
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
