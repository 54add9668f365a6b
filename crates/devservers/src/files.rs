//! Small file helpers: recursive copy with an owner, ends of logs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::account::Account;
use crate::error::ServerError;

/// A log larger than this at start-up is set aside as `<name>.old`, in bytes.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;
/// How much of a log's end an error shows, in bytes.
const TAIL_BYTES: u64 = 4096;
/// How many lines of a log's end an error shows.
const TAIL_LINES: usize = 15;

/// Makes `path` and its missing parents. The last one gets `mode`; one that is there already keeps its mode.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), ServerError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(ServerError::io("create", parent))?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(ServerError::io("create", path)),
    }
}

/// Removes a directory tree; an absent one is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<(), ServerError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ServerError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Copies a tree of plain files and directories; everything in the copy belongs to `owner`.
pub(crate) fn copy_tree(from: &Path, to: &Path, owner: &Account) -> Result<(), ServerError> {
    fs::DirBuilder::new().mode(0o700).create(to).map_err(ServerError::io("create", to))?;
    owner.own(to)?;
    for entry in fs::read_dir(from).map_err(ServerError::io("read", from))? {
        let entry = entry.map_err(ServerError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(ServerError::io("look at", &source))?.is_dir() {
            copy_tree(&source, &target, owner)?;
        } else {
            fs::copy(&source, &target).map_err(ServerError::io("copy", &source))?;
            owner.own(&target)?;
        }
    }
    Ok(())
}

/// Gives a whole tree to `owner`.
pub(crate) fn own_tree(path: &Path, owner: &Account) -> Result<(), ServerError> {
    owner.own(path)?;
    let kind = fs::symlink_metadata(path).map_err(ServerError::io("look at", path))?;
    if kind.is_dir() {
        for entry in fs::read_dir(path).map_err(ServerError::io("read", path))? {
            own_tree(&entry.map_err(ServerError::io("read", path))?.path(), owner)?;
        }
    }
    Ok(())
}

/// Opens a server's log for appending, mode 0600, and gives the length it has now.
pub(crate) fn open_log(path: &Path) -> Result<(File, u64), ServerError> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_LIMIT) {
        let old = path.with_extension("log.old");
        fs::rename(path, &old).map_err(ServerError::io("set aside", path))?;
    }
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(ServerError::io("open", path))?;
    let length = log.metadata().map_err(ServerError::io("look at", path))?.len();
    Ok((log, length))
}

/// The last lines that were written to a log after `start` (a position in bytes).
pub(crate) fn tail(path: &Path, start: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut log = File::open(path)?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("(no log at {}: {error})", path.display()),
    };
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Sets the permission bits of `path`.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), ServerError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(ServerError::io("set the mode of", path))
}
