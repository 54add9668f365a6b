//! The files of the local key service: private, locked, replaced atomically.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use carekeep_kernel::{Random, TenantId, random::bytes};
use data_encoding::HEXLOWER;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::KeyError;

/// How long a call waits for others to be done: they take milliseconds. A request that asks twice is answered within 5 s.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, KeyError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path.join("keys"));
        made.map_err(|error| failed(&path.join("keys"), &error))?;
        Ok(Self(path.to_owned()))
    }

    /// Waits for the lock, but not for ever: a request is held open meanwhile. Held until the value is dropped, released
    /// by the kernel if the process dies.
    pub(super) fn lock(&self) -> Result<Locked<'_>, KeyError> {
        let path = self.0.join("lock");
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| failed(&path, &error))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Locked { directory: &self.0, _lock: file }),
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_LIMIT => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let (path, seconds) = (path.display(), LOCK_LIMIT.as_secs());
                    let held = format!("another process has held {path} for {seconds} s: look what it does");
                    return Err(KeyError::Unavailable(held));
                }
                Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
            }
        }
    }
}

pub(super) struct Locked<'a> {
    directory: &'a Path,
    _lock: File,
}

impl Locked<'_> {
    /// The master key; made if there is none yet and nothing needs an old one.
    pub(super) fn master_key(&self, random: &dyn Random) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let path = self.directory.join("master.key");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.make_master_key(&path, random);
            }
            Err(error) => return Err(failed(&path, &error)),
        };
        let mode = file.metadata().map_err(|error| failed(&path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(KeyError::Storage(format!(
                "others may read {path}: run `chmod 600 {path}` and change the key"
            )));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(128));
        file.take(66).read_to_end(&mut text).map_err(|error| failed(&path, &error))?;
        let damaged =
            || KeyError::Storage(format!("{} is no 64 hexadecimal digits: restore it", path.display()));
        let digits = text.strip_suffix(b"\n").unwrap_or(&text);
        let mut key = Zeroizing::new([0_u8; 32]);
        if digits.len() != 64 {
            return Err(damaged());
        }
        HEXLOWER.decode_mut(digits, key.as_mut_slice()).map_err(|_| damaged())?;
        Ok(key)
    }

    fn make_master_key(&self, path: &Path, random: &dyn Random) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        if !self.tenants()?.is_empty() {
            let path = path.display();
            return Err(KeyError::Storage(format!(
                "{path} is missing but keys need it: restore it from a backup"
            )));
        }
        let key = Zeroizing::new(bytes::<32>(random));
        let text = Zeroizing::new(HEXLOWER.encode(key.as_slice()) + "\n");
        self.replace(path, text.as_bytes())?;
        Ok(key)
    }

    /// The tenants that have a file.
    pub(super) fn tenants(&self) -> Result<Vec<TenantId>, KeyError> {
        let path = self.directory.join("keys");
        let entries = fs::read_dir(&path).map_err(|error| failed(&path, &error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    pub(super) fn read<T: DeserializeOwned>(&self, tenant: TenantId) -> Result<Option<T>, KeyError> {
        let path = self.path_of(tenant);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|_| KeyError::Storage(format!("{} is damaged: restore it", path.display())))
    }

    pub(super) fn write<T: Serialize>(&self, tenant: TenantId, value: &T) -> Result<(), KeyError> {
        let path = self.path_of(tenant);
        let text = serde_json::to_vec_pretty(value).map_err(|error| failed(&path, &error.into()))?;
        self.replace(&path, &text)
    }

    fn path_of(&self, tenant: TenantId) -> PathBuf {
        self.directory.join("keys").join(format!("{tenant}.json"))
    }

    /// Old or new, never half: a temporary file, synced, renamed, and the directory synced.
    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), KeyError> {
        let temporary = path.with_extension("tmp");
        let write = || {
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(path.parent().unwrap_or(self.directory))?.sync_all()
        };
        write().map_err(|error| failed(path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> KeyError {
    KeyError::Storage(format!(
        "{}: {error}; check that the directory exists, is yours and has room",
        path.display()
    ))
}
