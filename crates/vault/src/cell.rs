//! Everything that a process holds open for one tenant: its connections, its keys, its batchers.
//!
//! A cell is made on the tenant's first use (one maker at a time) and dropped when the tenant has been quiet or is
//! suspended. It never serves a second tenant.

use std::sync::Arc;

use carekeep_batch::Batcher;
use carekeep_kernel::{Clock, Random, ResourceId, TenantId, TenantKind};
use carekeep_keys::{Aad, BlindIndexKey, DataKey, KeyCache, KeyPurpose, PseudonymKey, WrappedKey};
use carekeep_pool::{Budget, TenantPool};
use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::{
    AccessError, VaultConfig,
    audit::{AuditLane, Recorder},
    directory,
    log_signer::LogSigner,
    operations::OperationsConnections,
    reading::{ReadLane, Readers},
    records::fetch::Rows,
};

/// What cells are made from; shared by all of them.
pub(crate) struct CellMaker {
    pub(crate) directory: PgPool,
    pub(crate) config: VaultConfig,
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// One tenant, opened.
pub(crate) struct Cell {
    tenant: TenantId,
    kind: TenantKind,
    keys: Arc<KeyCache>,
    random: Arc<dyn Random>,
    wrapped: Vec<WrappedKey>,
    clinical: Arc<TenantPool>,
    operations: OperationsConnections,
    pub(crate) rows: Rows,
    pub(crate) readers: Readers,
    pub(crate) recorder: Arc<Recorder>,
}

/// How many reads share their round trips, and how many lanes read at once.
const READ_BATCH: usize = 64;
const READ_LANES: usize = 2;
/// How many hand in their entries together.
const AUDIT_BATCH: usize = 256;
/// How many requests may wait in front of a lane before submitting itself waits.
const QUEUE: usize = 4_096;

impl CellMaker {
    /// Opens a tenant: reads its keys and logins, unwraps what the connections need.
    pub(crate) async fn open(&self, tenant: TenantId, kind: TenantKind) -> Result<Cell, AccessError> {
        let wrapped = directory::keys(&self.directory, tenant).await?;
        let credential = newest(&self.keys, &wrapped, tenant, KeyPurpose::Credential).await?;
        let mut options = Vec::with_capacity(2);
        for name in ["clinical", "operations"] {
            options.push(self.connect_options(tenant, name, &credential).await?);
        }
        let [clinical, operations] = <[PgConnectOptions; 2]>::try_from(options)
            .map_err(|_| AccessError::unavailable("directory", "a tenant has two logins"))?;
        let tally = self.budget.tenant();
        let clinical = TenantPool::new(clinical, tenant.schema(), self.config.pool.per_tenant, &tally);
        let most = self.config.operations_connections;
        let operations = TenantPool::new(operations, tenant.schema(), most, &tally);
        let signer = newest(&self.keys, &wrapped, tenant, KeyPurpose::Ledger).await?;
        let signer = carekeep_keys::SigningKey::derive(&signer, tenant)
            .map_err(|error| AccessError::unavailable("keys", error.to_string()))?;
        let signer = LogSigner::new(tenant, signer)
            .map_err(|error| AccessError::unavailable("keys", error.to_string()))?;
        let ledger = AuditLane::new(tenant, Arc::clone(&clinical), signer, Arc::clone(&self.clock));
        let recorder = Arc::new(Recorder::new(
            Batcher::start(vec![ledger], AUDIT_BATCH, QUEUE),
            Arc::clone(&self.clock),
            Arc::clone(&self.random),
        ));
        let rows = Rows::new(tenant, Arc::clone(&clinical));
        let readers = (0..READ_LANES).map(|_| ReadLane::new(rows.clone(), Arc::clone(&recorder)));
        Ok(Cell {
            tenant,
            kind,
            keys: Arc::clone(&self.keys),
            random: Arc::clone(&self.random),
            wrapped,
            readers: Batcher::start(readers.collect(), READ_BATCH, QUEUE),
            rows,
            recorder,
            operations: OperationsConnections::new(operations),
            clinical,
        })
    }

    async fn connect_options(
        &self,
        tenant: TenantId,
        database: &str,
        credential: &DataKey,
    ) -> Result<PgConnectOptions, AccessError> {
        let logins = directory::logins(&self.directory, tenant).await?;
        let login = logins
            .iter()
            .find(|login| login.database == database)
            .ok_or_else(|| AccessError::unavailable("directory", "the tenant has no login there"))?;
        let aad = login_aad(tenant, database);
        let password = carekeep_keys::open(credential, &aad, &login.sealed_password)
            .map_err(|error| AccessError::unavailable("keys", error.to_string()))?;
        let password = std::str::from_utf8(&password)
            .map_err(|_| AccessError::unavailable("keys", "a login's password is no text"))?;
        let endpoint = if database == "clinical" { &self.config.clinical } else { &self.config.operations };
        Ok(endpoint.options().username(&login.role).password(password).statement_cache_capacity(64))
    }
}

/// The associated data of a sealed database password.
#[must_use]
pub fn login_aad(tenant: TenantId, database: &str) -> Aad<'_> {
    Aad {
        tenant,
        table: "tenant_login",
        column: "sealed_password",
        row: *tenant.as_bytes(),
        row_version: 1,
        kind: database,
        patient: None,
    }
}

async fn newest(
    cache: &KeyCache,
    wrapped: &[WrappedKey],
    tenant: TenantId,
    purpose: KeyPurpose,
) -> Result<Arc<DataKey>, AccessError> {
    let newest = wrapped
        .iter()
        .filter(|key| key.purpose == purpose)
        .max_by_key(|key| key.generation)
        .ok_or_else(|| AccessError::unavailable("keys", format!("no {purpose} key")))?;
    unwrap(cache, tenant, newest).await
}

async fn unwrap(cache: &KeyCache, tenant: TenantId, key: &WrappedKey) -> Result<Arc<DataKey>, AccessError> {
    cache.get(tenant, key).await.map_err(|error| AccessError::unavailable("keys", error.to_string()))
}

impl Cell {
    pub(crate) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(crate) const fn kind(&self) -> TenantKind {
        self.kind
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.random
    }

    pub(crate) const fn operations(&self) -> &OperationsConnections {
        &self.operations
    }

    pub(crate) const fn clinical(&self) -> &Arc<TenantPool> {
        &self.clinical
    }

    /// The newest key of a purpose, with its generation.
    pub(crate) async fn newest(&self, purpose: KeyPurpose) -> Result<(Arc<DataKey>, u32), AccessError> {
        let key = newest(&self.keys, &self.wrapped, self.tenant, purpose).await?;
        let generation = self.wrapped.iter().filter(|k| k.purpose == purpose).map(|k| k.generation).max();
        Ok((key, generation.unwrap_or_default()))
    }

    /// Whether the tenant has a key of this purpose and generation.
    pub(crate) fn has(&self, purpose: KeyPurpose, generation: u32) -> bool {
        self.wrapped.iter().any(|key| key.purpose == purpose && key.generation == generation)
    }

    /// The key that an envelope says it was sealed with.
    pub(crate) async fn key_of(
        &self,
        purpose: KeyPurpose,
        envelope: &[u8],
    ) -> Result<Arc<DataKey>, AccessError> {
        let generation = carekeep_keys::generation(envelope)
            .map_err(|error| AccessError::unavailable("records", error.to_string()))?;
        let wrapped = self
            .wrapped
            .iter()
            .find(|key| key.purpose == purpose && key.generation == generation)
            .ok_or_else(|| {
                AccessError::unavailable("keys", format!("no {purpose} key generation {generation}"))
            })?;
        unwrap(&self.keys, self.tenant, wrapped).await
    }

    /// The key of the tenant's blind indexes.
    pub(crate) async fn index_key(&self) -> Result<BlindIndexKey, AccessError> {
        Ok(BlindIndexKey::derive(&self.newest(KeyPurpose::Index).await?.0, self.tenant))
    }

    /// A patient's name in the ledger: the same in every entry of the tenant, and meaningless outside.
    pub(crate) async fn pseudonym(&self, patient: ResourceId) -> Result<[u8; 16], AccessError> {
        let key = self.newest(KeyPurpose::Pseudonym).await?.0;
        Ok(PseudonymKey::derive(&key, self.tenant).pseudonym(patient.as_bytes()))
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.clinical.clear();
        self.operations.clear();
    }
}
