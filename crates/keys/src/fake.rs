//! A strict key service in memory, **for tests**: it enforces what AWS KMS enforces and moto does not (key states,
//! deletion windows), counts calls, and fails or dawdles on demand. Keys die with the process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use carekeep_kernel::{Clock, Random, TenantId, Timestamp, random::bytes};
use zeroize::Zeroizing;

use crate::{
    DataKey, KeyContext, KeyDescription, KeyError, KeyFuture, KeyRef, KeyService, Wrapped,
    lifecycle::Lifecycle,
    wrapping::{unwrap_with, wrap_fresh},
};

const SERVICE: &[u8; 16] = b"carekeep-fakekms";

/// How often each operation was called, refused calls included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// `create_key`
    pub create: u64,
    /// `generate_data_key`
    pub generate: u64,
    /// `unwrap`
    pub unwrap: u64,
    /// everything else
    pub other: u64,
}

struct FakeKey {
    tenant: TenantId,
    material: DataKey,
    lifecycle: Lifecycle,
}

#[derive(Default)]
struct Inner {
    keys: HashMap<KeyRef, FakeKey>,
    calls: Calls,
    outage: bool,
    latency: Duration,
}

/// The strict fake. Behaves as `docs.aws.amazon.com/kms` says for key states; answers at once unless told otherwise.
pub struct StrictFake {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    made: AtomicU64,
    inner: Mutex<Inner>,
}

impl StrictFake {
    /// An empty service.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random, made: AtomicU64::new(0), inner: Mutex::default() }
    }

    /// Switches an outage on or off: during one, every call fails as [`KeyError::Unavailable`].
    pub fn set_outage(&self, outage: bool) {
        self.lock().outage = outage;
    }

    /// Makes every call take this long on tokio's clock before it is looked at.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        count: fn(&mut Calls) -> &mut u64,
        answer: impl FnOnce(&mut Inner, Timestamp) -> Result<T, KeyError> + Send + 'a,
    ) -> KeyFuture<'a, T> {
        Box::pin(async move {
            let latency = {
                let mut inner = self.lock();
                *count(&mut inner.calls) += 1;
                inner.latency
            };
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            let now = self.clock.now();
            let mut inner = self.lock();
            if inner.outage {
                return Err(KeyError::Unavailable("injected outage".into()));
            }
            inner.keys.retain(|_, key| !key.lifecycle.is_destroyed(now));
            answer(&mut inner, now)
        })
    }
}

impl Inner {
    fn key(&mut self, key: &KeyRef) -> Result<&mut FakeKey, KeyError> {
        self.keys.get_mut(key).ok_or_else(|| KeyError::NotFound(key.clone()))
    }

    fn usable(&mut self, key: &KeyRef) -> Result<&DataKey, KeyError> {
        let found = self.key(key)?;
        found.lifecycle.check_usable(key)?;
        Ok(&found.material)
    }
}

impl KeyService for StrictFake {
    fn create_key(&self, tenant: TenantId) -> KeyFuture<'_, KeyRef> {
        self.call(
            |calls| &mut calls.create,
            move |inner, _| {
                if let Some((key, found)) = inner.keys.iter().find(|(_, key)| key.tenant == tenant) {
                    return found.lifecycle.check_not_pending(key).map(|()| key.clone());
                }
                let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
                let key = KeyRef(format!("fake:{tenant}/{number}"));
                let material = DataKey::new(Zeroizing::new(bytes(&*self.random)));
                let made = FakeKey { tenant, material, lifecycle: Lifecycle::Enabled };
                inner.keys.insert(key.clone(), made);
                Ok(key)
            },
        )
    }

    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyRef,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, (Zeroizing<[u8; 32]>, Wrapped)> {
        self.call(
            |calls| &mut calls.generate,
            move |inner, _| wrap_fresh(inner.usable(key)?, &context.encode(SERVICE), context, &*self.random),
        )
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a KeyRef,
        wrapped: &'a Wrapped,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, Zeroizing<[u8; 32]>> {
        self.call(
            |calls| &mut calls.unwrap,
            move |inner, _| unwrap_with(inner.usable(key)?, &context.encode(SERVICE), wrapped),
        )
    }

    fn disable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        self.call(|calls| &mut calls.other, move |inner, _| inner.key(key)?.lifecycle.switch(key, false))
    }

    fn enable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        self.call(|calls| &mut calls.other, move |inner, _| inner.key(key)?.lifecycle.switch(key, true))
    }

    fn schedule_deletion<'a>(&'a self, key: &'a KeyRef, days: u32) -> KeyFuture<'a, Timestamp> {
        self.call(
            |calls| &mut calls.other,
            move |inner, now| inner.key(key)?.lifecycle.schedule(key, days, now),
        )
    }

    fn cancel_deletion<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()> {
        self.call(|calls| &mut calls.other, move |inner, _| inner.key(key)?.lifecycle.cancel(key))
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, KeyDescription> {
        self.call(
            |calls| &mut calls.other,
            move |inner, _| {
                let state = inner.key(key)?.lifecycle.state();
                Ok(KeyDescription { key: key.clone(), state })
            },
        )
    }
}
