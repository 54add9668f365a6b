//! The origins of a tenant's apps, as the edge asks for them.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_identity::storage::PgRepository;
use carekeep_kernel::TenantId;
use carekeep_vault::Vault;
use moka::future::Cache;

use crate::edge::AppOrigins;

/// As long as a session's row is trusted: what the tenant disables is refused within a second.
const TRUST: Duration = Duration::from_millis(900);

/// Looks origins up among the apps that a tenant approved, at most once every 0.9 s and process, whoever asks.
pub struct Origins {
    vault: Arc<Vault>,
    known: Known,
}

impl Origins {
    /// Looks them up through this vault.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault, known: Known::new() }
    }

    async fn load(&self, tenant: TenantId) -> HashSet<String> {
        let Ok(people) = PgRepository::open(&self.vault, tenant).await else { return HashSet::new() };
        match people.app_origins().await {
            Ok(origins) => origins,
            Err(error) => {
                tracing::warn!(cause = %error, "the origins of apps could not be looked up");
                HashSet::new()
            }
        }
    }
}

impl AppOrigins for Origins {
    fn knows<'a>(
        &'a self,
        tenant: TenantId,
        origin: &'a str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move { self.known.of(tenant, || self.load(tenant)).await.origins.contains(origin) })
    }
}

/// What a look found, and when it began: what is changed while it is under way may be missing from it.
struct Looked {
    began: Instant,
    origins: HashSet<String>,
}

/// What was found last, by tenant; trusted for [`TRUST`] from the beginning of the look and no longer.
struct Known(Cache<TenantId, Arc<Looked>>);

impl Known {
    fn new() -> Self {
        Self(Cache::builder().max_capacity(10_000).time_to_live(TRUST).build())
    }

    /// Of several who ask together one looks, and the others wait for what that one finds.
    async fn of<F: Future<Output = HashSet<String>>>(
        &self,
        tenant: TenantId,
        look: impl Fn() -> F,
    ) -> Arc<Looked> {
        let asked = Instant::now();
        loop {
            let found = self.0.get_with(tenant, async {
                let began = Instant::now();
                Arc::new(Looked { began, origins: look().await })
            });
            let found = found.await;
            if asked < found.began + TRUST {
                return found;
            }
            // Looking took a while: it leaves before its time in the cache is over. The next look begins after the question.
            self.0.invalidate(&tenant).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use carekeep_kernel::{SeededRandom, SystemClock};
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn i11_what_was_found_is_trusted_from_the_beginning_of_the_look() {
        let tenant = TenantId::generate(&SystemClock, &SeededRandom::new(1));
        let approved = Mutex::new(HashSet::from(["https://app.example".to_owned()]));
        let (known, began) = (Known::new(), Instant::now());
        // As slow as a database under load: what it answers is how things were when it was asked.
        let look = async || {
            let found = approved.lock().unwrap().clone();
            sleep(TRUST * 2 / 3).await;
            found
        };
        assert_eq!(known.of(tenant, &look).await.origins.len(), 1);
        approved.lock().unwrap().clear();
        // The control: for the rest of its time it is not looked up again.
        assert_eq!(known.of(tenant, &look).await.origins.len(), 1);
        assert!(began.elapsed() < TRUST, "this machine is too slow for the control");
        sleep(TRUST.saturating_sub(began.elapsed())).await;
        assert_eq!(known.of(tenant, &look).await.origins.len(), 0, "no longer, whenever the look ended");
    }

    #[tokio::test]
    async fn i11_whoever_waits_for_anothers_slow_look_does_not_get_what_is_too_old() {
        let tenant = TenantId::generate(&SystemClock, &SeededRandom::new(1));
        let approved = Mutex::new(HashSet::from(["https://app.example".to_owned()]));
        let known = Known::new();
        let look = async || {
            let found = approved.lock().unwrap().clone();
            sleep(TRUST * 3 / 2).await;
            found
        };
        let later = async {
            sleep(TRUST + Duration::from_millis(50)).await;
            approved.lock().unwrap().clear();
            known.of(tenant, &look).await.origins.len()
        };
        let (first, second) = tokio::join!(known.of(tenant, &look), later);
        assert_eq!((first.origins.len(), second), (1, 0));
    }
}
