//! A temporary directory with a short path, removed on drop, and swept by the next process when ours was killed.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Once;

use tempfile::TempDir;

use crate::error::ServerError;
use crate::files;

/// Names of scratch directories start like this; nothing else in the temporary directory is touched.
const PREFIX: &str = "ck-";
/// While a directory is being made its name starts like this, so that no sweep sees it before it is locked.
const UNFINISHED: &str = "new-ck-";
/// Held locked by the process that owns the directory.
const LOCK: &str = ".lock";
/// A longer temporary directory is passed over for `/tmp`: a socket path may have 107 bytes.
const LONGEST_BASE: usize = 48;
/// Where files are made in memory: a new database has a thousand, which takes 0.1 s here and up to 1 s on a disk.
const MEMORY: &str = "/dev/shm";
/// Memory is used only where this much is free, in bytes; containers often have 64 MiB.
const MEMORY_NEEDED: u64 = 2 << 30;

/// A temporary directory for servers and their sockets. It is removed with everything in it on drop; one whose owner
/// was killed is removed by the next process that makes one.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one under `$TMPDIR` (passed over when it is too long for sockets), else in memory when that has room,
    /// else under `/tmp`.
    ///
    /// Others may pass through it but not list it (mode 0711), because servers may run as another account than ours.
    ///
    /// # Errors
    /// [`ServerError::Io`] when the directory cannot be made.
    pub fn new() -> Result<Self, ServerError> {
        static SWEEP: Once = Once::new();
        let base = base();
        SWEEP.call_once(|| sweep(&base));
        Self::new_in(&base)
    }

    fn new_in(base: &Path) -> Result<Self, ServerError> {
        let unfinished: TempDir = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .rand_bytes(8)
            .tempdir_in(base)
            .map_err(ServerError::io("make a directory in", base))?;
        let lock_path = unfinished.path().join(LOCK);
        let lock = File::create(&lock_path).map_err(ServerError::io("create", &lock_path))?;
        lock.try_lock().map_err(std::io::Error::from).map_err(ServerError::io("lock", &lock_path))?;
        files::set_mode(unfinished.path(), 0o711)?;
        let name = unfinished.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = base.join(name.replacen(UNFINISHED, PREFIX, 1));
        fs::rename(unfinished.path(), &path).map_err(ServerError::io("rename", unfinished.path()))?;
        // Its name is gone; there is nothing left for it to remove.
        let _ = unfinished.keep();
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn base() -> PathBuf {
    let wished = env::var_os("TMPDIR").map(PathBuf::from);
    let short = |dir: &PathBuf| dir.is_absolute() && dir.as_os_str().len() <= LONGEST_BASE;
    wished.filter(short).unwrap_or_else(|| PathBuf::from(if memory_has_room() { MEMORY } else { "/tmp" }))
}

fn memory_has_room() -> bool {
    let free = rustix::fs::statvfs(MEMORY).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    free >= MEMORY_NEEDED && rustix::fs::access(MEMORY, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Removes a tree in which a dying server may still make files: what fails once is tried again.
fn remove(path: &Path) {
    for _ in 0..3 {
        if files::remove_tree(path).is_ok() {
            return;
        }
    }
}

/// Removes the directories of processes that are gone: their lock is free.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        match lock.try_lock() {
            Ok(()) => remove(&path),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_short_and_gone_after_drop() {
        let scratch = Scratch::new().expect("a directory");
        let path = scratch.path().to_owned();
        assert!(path.is_dir());
        assert!(path.as_os_str().len() < 64, "{}", path.display());
        fs::write(path.join("file"), "x").expect("writable");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn a_sweep_removes_what_a_dead_process_left_and_nothing_that_is_held() {
        let base = tempfile::tempdir().expect("a directory");
        let held = Scratch::new_in(base.path()).expect("a directory");
        let left = base.path().join("ck-left");
        let foreign = base.path().join("other");
        for dir in [&left, &foreign] {
            fs::create_dir(dir).expect("a directory");
            fs::write(dir.join(LOCK), "").expect("a file");
        }
        sweep(base.path());
        assert!(!left.exists(), "its lock was free");
        assert!(held.path().exists(), "its lock is held");
        assert!(foreign.exists(), "its name is not one of ours");
    }
}
