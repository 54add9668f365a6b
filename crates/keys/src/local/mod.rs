//! The one-machine key service: keys in files, for development and for trying things out. Refuses production.
//!
//! ```text
//! <dir>/master.key          32 bytes as hexadecimal, mode 0600; made on first use
//! <dir>/keys/<tenant>.json  the tenant's key, wrapped by the master key, and its state; mode 0600, replaced atomically
//! <dir>/lock                held during every call, so that several processes may share the directory
//! ```
//!
//! Every call reads the tenant's file: a key that another process disabled refuses at once. A key whose deletion is due
//! is overwritten with a tombstone at the next call, or when the service is opened.

mod files;

use std::{path::Path, sync::Arc};

use carekeep_kernel::{Clock, Profile, Random, TenantId, Timestamp, random::bytes};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    DataKey, KeyContext, KeyDescription, KeyError, KeyFuture, KeyRef, KeyService, Wrapped,
    envelope::{open_bytes, seal_bytes},
    lifecycle::Lifecycle,
    wrapping::{unwrap_with, wrap_fresh},
};
use files::Directory;

const SERVICE: &[u8; 16] = b"carekeep-locakms";
const MASTER_LABEL: &[u8] = b"carekeep-local-key/1";

/// The one-machine key service. Cheap to clone.
#[derive(Clone)]
pub struct LocalKms(Arc<Shared>);

struct Shared {
    directory: Directory,
    master: DataKey,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// One tenant's file. `material` is gone once the key is destroyed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    id: String,
    lifecycle: Lifecycle,
    material: Option<String>,
}

impl LocalKms {
    /// Opens the service in `directory`, which is made (mode 0700) if it is not there, with a new master key.
    ///
    /// Does file I/O; call it at start.
    ///
    /// # Errors
    /// [`KeyError::LocalInProduction`] for any profile that does not allow developers' conveniences;
    /// [`KeyError::Storage`] if files cannot be used, if the master key is readable by others, or if it is missing
    /// while there are keys that need it.
    pub fn open(
        directory: &Path,
        profile: Profile,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeyError> {
        if !profile.allows_dev_conveniences() {
            return Err(KeyError::LocalInProduction);
        }
        let directory = Directory::open(directory)?;
        let locked = directory.lock()?;
        let master = DataKey::new(locked.master_key(&*random)?);
        let tenants = locked.tenants()?;
        drop(locked);
        let service = Self(Arc::new(Shared { directory, master, clock, random }));
        for tenant in tenants {
            service.0.with_file(tenant, |_, _| Ok(((), false)))?;
        }
        Ok(service)
    }

    /// Runs file work off the async threads.
    fn call<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Shared) -> Result<T, KeyError> + Send + 'static,
    ) -> KeyFuture<'a, T> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let joined = tokio::task::spawn_blocking(move || work(&shared)).await;
            joined.unwrap_or_else(|_| Err(KeyError::Unavailable("the process is shutting down".into())))
        })
    }

    fn change<'a, T: Send + 'static>(
        &'a self,
        key: &KeyRef,
        change: impl FnOnce(&mut Lifecycle, &KeyRef, Timestamp) -> Result<T, KeyError> + Send + 'static,
    ) -> KeyFuture<'a, T> {
        let key = key.clone();
        self.call(move |shared| {
            let now = shared.clock.now();
            shared.with_key(&key, |file| Ok((change(&mut file.lifecycle, &key, now)?, true)))
        })
    }
}

impl Shared {
    /// Gives `work` the tenant's file, as it is now, and writes it back if `work` says that it changed.
    fn with_file<T>(
        &self,
        tenant: TenantId,
        work: impl FnOnce(&mut Option<KeyFile>, Timestamp) -> Result<(T, bool), KeyError>,
    ) -> Result<T, KeyError> {
        let locked = self.directory.lock()?;
        let now = self.clock.now();
        let mut file: Option<KeyFile> = locked.read(tenant)?;
        let due = file.as_mut().filter(|file| file.material.is_some() && file.lifecycle.is_destroyed(now));
        if let Some(file) = due {
            file.material = None;
            locked.write(tenant, file)?;
        }
        let (result, changed) = work(&mut file, now)?;
        if let Some(file) = file.filter(|_| changed) {
            locked.write(tenant, &file)?;
        }
        Ok(result)
    }

    /// As [`with_file`](Self::with_file) for a key that must exist.
    fn with_key<T>(
        &self,
        key: &KeyRef,
        work: impl FnOnce(&mut KeyFile) -> Result<(T, bool), KeyError>,
    ) -> Result<T, KeyError> {
        let not_found = || KeyError::NotFound(key.clone());
        let (tenant, id) = parse(key).ok_or_else(not_found)?;
        self.with_file(tenant, |file, _| {
            let file = file.as_mut().filter(|file| file.id == id && file.material.is_some());
            work(file.ok_or_else(not_found)?)
        })
    }

    fn create(&self, tenant: TenantId) -> Result<KeyRef, KeyError> {
        self.with_file(tenant, |file, _| {
            if let Some(found) = file.as_ref().filter(|file| file.material.is_some()) {
                let key = reference(tenant, &found.id);
                found.lifecycle.check_not_pending(&key)?;
                return Ok((key, false));
            }
            let id = HEXLOWER.encode(&bytes::<8>(&*self.random));
            let material = Zeroizing::new(bytes::<32>(&*self.random));
            let sealed =
                seal_bytes(&self.master, 0, &master_aad(tenant, &id), material.as_slice(), &*self.random);
            let sealed = sealed.map_err(|_| KeyError::WrongContext)?;
            let key = reference(tenant, &id);
            *file =
                Some(KeyFile { id, lifecycle: Lifecycle::Enabled, material: Some(BASE64.encode(&sealed)) });
            Ok((key, true))
        })
    }

    /// The tenant key, if it may be used now.
    fn usable(&self, key: &KeyRef) -> Result<DataKey, KeyError> {
        let (tenant, id) = parse(key).ok_or_else(|| KeyError::NotFound(key.clone()))?;
        let material = self.with_key(key, |file| {
            file.lifecycle.check_usable(key)?;
            Ok((file.material.clone().unwrap_or_default(), false))
        })?;
        let damaged =
            || KeyError::Storage(format!("key {key} does not fit the master key: restore both files"));
        let sealed = BASE64.decode(material.as_bytes()).map_err(|_| damaged())?;
        let opened = open_bytes(&self.master, &master_aad(tenant, id), &sealed).map_err(|_| damaged())?;
        let mut bytes = Zeroizing::new([0_u8; 32]);
        if opened.len() != bytes.len() {
            return Err(damaged());
        }
        bytes.copy_from_slice(&opened);
        Ok(DataKey::new(bytes))
    }
}

impl KeyService for LocalKms {
    fn create_key(&self, tenant: TenantId) -> KeyFuture<'_, KeyRef> {
        self.call(move |shared| shared.create(tenant))
    }

    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyRef,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, (Zeroizing<[u8; 32]>, Wrapped)> {
        let (key, context) = (key.clone(), *context);
        self.call(move |shared| {
            wrap_fresh(&shared.usable(&key)?, &context.encode(SERVICE), &context, &*shared.random)
        })
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a KeyRef,
        wrapped: &'a Wrapped,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, Zeroizing<[u8; 32]>> {
        let (key, wrapped, context) = (key.clone(), wrapped.clone(), *context);
        self.call(move |shared| unwrap_with(&shared.usable(&key)?, &context.encode(SERVICE), &wrapped))
    }

    fn disable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        self.change(key, |lifecycle, key, _| lifecycle.switch(key, false))
    }

    fn enable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        self.change(key, |lifecycle, key, _| lifecycle.switch(key, true))
    }

    fn schedule_deletion<'a>(&'a self, key: &'a KeyRef, days: u32) -> KeyFuture<'a, Timestamp> {
        self.change(key, move |lifecycle, key, now| lifecycle.schedule(key, days, now))
    }

    fn cancel_deletion<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        self.change(key, |lifecycle, key, _| lifecycle.cancel(key))
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, KeyDescription> {
        let key = key.clone();
        self.call(move |shared| {
            let state = shared.with_key(&key, |file| Ok((file.lifecycle.state(), false)))?;
            Ok(KeyDescription { key, state })
        })
    }
}

fn reference(tenant: TenantId, id: &str) -> KeyRef {
    KeyRef(format!("local:{tenant}/{id}"))
}

/// The tenant and the id; a parsed tenant cannot lead out of the directory.
fn parse(key: &KeyRef) -> Option<(TenantId, &str)> {
    let (tenant, id) = key.as_str().strip_prefix("local:")?.split_once('/')?;
    Some((tenant.parse().ok()?, id))
}

fn master_aad(tenant: TenantId, id: &str) -> Vec<u8> {
    [MASTER_LABEL, tenant.as_bytes(), id.as_bytes()].concat()
}
