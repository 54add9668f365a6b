//! Which account a server runs as. PostgreSQL refuses root, so root lends it another, unprivileged one.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Command;

use crate::error::ServerError;
use crate::programs;

/// The right to pass through directories of others, as setpriv calls it, with its bit (capabilities(7)).
const LENT_RIGHTS: [(&str, u32); 2] = [("dac_read_search", 2), ("dac_override", 1)];

/// An account to run a server as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The one this process has.
    Own,
    /// Another one, because this process is root.
    Other {
        /// Its name, for messages.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl Account {
    /// The account for PostgreSQL: our own, or when that is root `postgres`, else `nobody`.
    pub(crate) fn for_postgres() -> Result<Self, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(ServerError::io("read", path))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::parse(&passwd, name))
            .ok_or(ServerError::NoAccount)
    }

    fn parse(passwd: &str, wanted: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == wanted)?;
            let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self::Other { name: name.to_owned(), uid, gid })
        })
    }

    /// Gives a file or directory to the account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), ServerError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(ServerError::io("give away", path))
            }
        }
    }

    /// Whether `path` belongs to the account (or nothing has to be given away).
    pub(crate) fn owns(&self, path: &Path) -> bool {
        match self {
            Self::Own => true,
            Self::Other { uid, .. } => fs::metadata(path).is_ok_and(|file| file.uid() == *uid),
        }
    }

    /// A command prefix that runs what follows as this account, where `dirs` must be reachable.
    ///
    /// A checkout below `/root` is closed to every other account. Root then lends the server the right to pass through
    /// directories, and nothing else: the data stays where its owner asked for it.
    pub(crate) fn command(&self, dirs: &[&Path]) -> Result<Command, ServerError> {
        let mut command = Command::new(programs::setpriv()?);
        if let Self::Other { name, uid, gid } = self {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
            if let Some(closed) = dirs.iter().find(|dir| !reachable(dir, *uid, *gid)) {
                let right = lendable().ok_or_else(|| ServerError::Unreachable {
                    path: (*closed).to_owned(),
                    account: name.clone(),
                })?;
                command.arg(format!("--inh-caps=+{right}")).arg(format!("--ambient-caps=+{right}"));
            }
        }
        Ok(command)
    }
}

/// Whether an account may pass through every parent of `path`, by the plain permission bits.
fn reachable(path: &Path, uid: u32, gid: u32) -> bool {
    path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).all(|dir| {
        fs::metadata(dir).is_ok_and(|dir| {
            let bit = if dir.uid() == uid {
                0o100
            } else if dir.gid() == gid {
                0o010
            } else {
                0o001
            };
            dir.mode() & bit != 0
        })
    })
}

/// The least right to pass through directories that this process may hand on, if any.
fn lendable() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    let bounding = u64::from_str_radix(bounding.trim(), 16).ok()?;
    LENT_RIGHTS.iter().find(|(_, bit)| bounding & (1 << bit) != 0).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:PG,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_exact_name_and_is_never_root() {
        let found = Account::Other { name: "postgres".into(), uid: 101, gid: 104 };
        assert_eq!(Account::parse(PASSWD, "postgres"), Some(found));
        assert_eq!(Account::parse(PASSWD, "post"), None);
        assert_eq!(Account::parse(PASSWD, "root"), None);
        assert_eq!(Account::parse("postgres:x:0:0::/:/bin/sh", "postgres"), None);
    }

    #[test]
    fn a_closed_parent_makes_a_directory_unreachable_and_an_open_one_does_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().expect("a directory");
        let (uid, gid) = (4_000_000_001, 4_000_000_001);
        let inner = root.path().join("inner");
        fs::create_dir(&inner).expect("a directory");
        for (mode, expected) in [(0o711, true), (0o700, false)] {
            fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(reachable(&inner, uid, gid), expected, "mode {mode:o}");
        }
    }
}
