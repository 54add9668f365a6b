//! The origins of a tenant's apps, as the edge asks for them.

use std::{collections::HashSet, pin::Pin, sync::Arc, time::Duration};

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
    known: Cache<TenantId, Arc<HashSet<String>>>,
}

impl Origins {
    /// Looks them up through this vault.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault, known: Cache::builder().max_capacity(10_000).time_to_live(TRUST).build() }
    }

    async fn load(&self, tenant: TenantId) -> Arc<HashSet<String>> {
        let Ok(people) = PgRepository::open(&self.vault, tenant).await else { return Arc::default() };
        match people.app_origins().await {
            Ok(origins) => Arc::new(origins),
            Err(error) => {
                tracing::warn!(cause = %error, "the origins of apps could not be looked up");
                Arc::default()
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
        Box::pin(async move { self.known.get_with(tenant, self.load(tenant)).await.contains(origin) })
    }
}
