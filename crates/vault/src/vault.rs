//! The vault: the way in for everybody who needs health data.

use std::{sync::Arc, time::Duration};

use carekeep_kernel::{Clock, Random, ResourceId, TenantId, TenantKind};
use carekeep_keys::KeyCache;
use carekeep_ledger::Outcome;
use carekeep_policy::{ActivePolicy, Projection, ResourceKind};
use carekeep_pool::Budget;
use sqlx::PgPool;

use crate::{
    AccessError, Caller, Origin, Permit, Sealed, SessionError, VaultConfig,
    audit::Grounds,
    catalogue::{Act, Match, Opens, Search},
    cell::{Cell, CellMaker},
    gate::Gate,
    operations::OperationsConnections,
    records::{
        fetch::{self, Versions, Wanted},
        query::RecordQuery,
        write::{self, Step},
    },
    session::{Bearer, KnownSessions},
    watch::DirectoryWatch,
    writing::{Change, Planned, Plans},
};

/// How long a tenant that nobody uses stays open.
const TENANT_IDLE: Duration = Duration::from_secs(10 * 60);

fn by_tenant<T: Clone + Send + Sync + 'static>(most: u64) -> moka::future::Cache<TenantId, T> {
    moka::future::Cache::builder().max_capacity(most).time_to_idle(TENANT_IDLE).build()
}

/// What a vault is built on.
pub struct VaultParts {
    /// The directory database, with a login that may only read it.
    pub directory: PgPool,
    /// Unwrapped keys, cached; in front of the key service.
    pub keys: Arc<KeyCache>,
    /// The policies in force.
    pub policy: Arc<ActivePolicy>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// The trusted core. Cheap to share behind an [`Arc`].
pub struct Vault {
    maker: CellMaker,
    cells: moka::future::Cache<TenantId, Arc<Cell>>,
    sessions: moka::future::Cache<TenantId, KnownSessions>,
    watch: Arc<DirectoryWatch>,
    policy: Arc<ActivePolicy>,
}

impl Vault {
    /// Opens the vault and reads the directory once.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the directory does not answer.
    pub async fn open(config: VaultConfig, parts: VaultParts) -> Result<Arc<Self>, AccessError> {
        let watch = DirectoryWatch::start(parts.directory.clone()).await?;
        Ok(Arc::new(Self {
            cells: by_tenant(config.open_tenants),
            sessions: by_tenant(config.open_tenants),
            maker: CellMaker {
                directory: parts.directory,
                budget: Budget::new(config.pool),
                config,
                keys: parts.keys,
                clock: parts.clock,
                random: parts.random,
            },
            watch,
            policy: parts.policy,
        }))
    }

    /// The directory in memory.
    #[must_use]
    pub const fn directory(&self) -> &Arc<DirectoryWatch> {
        &self.watch
    }

    /// The clock that everything here is measured by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.maker.clock
    }

    /// The source of randomness.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.maker.random
    }

    /// The policies in force.
    #[must_use]
    pub const fn policy(&self) -> &Arc<ActivePolicy> {
        &self.policy
    }

    /// The tenant's connections to its operations schema: people, sessions, schedules. No clinical row is there.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant is unknown, suspended, at another schema version, or cannot be
    /// opened because the directory or the key service is away.
    pub async fn operations(&self, tenant: TenantId) -> Result<OperationsConnections, AccessError> {
        Ok(self.cell(tenant).await?.operations().clone())
    }

    pub(crate) async fn cell(&self, tenant: TenantId) -> Result<Arc<Cell>, AccessError> {
        let kind = self.check_served(tenant)?;
        if let Some(cell) = self.cells.get(&tenant).await {
            return Ok(cell);
        }
        // Boxed, as everything that is rare on the way of a read: futures are moved, and their size is their rarest part's.
        let opening =
            self.cells.try_get_with(tenant, async { self.maker.open(tenant, kind).await.map(Arc::new) });
        Box::pin(opening).await.map_err(
            // Everybody who waited for the same opening gets the same answer; the next request tries again.
            |error: Arc<AccessError>| (*error).clone(),
        )
    }

    /// The tenant's sessions as this process knows them.
    async fn known_sessions(&self, tenant: TenantId) -> KnownSessions {
        match self.sessions.get(&tenant).await {
            Some(sessions) => sessions,
            None => Box::pin(self.sessions.get_with(tenant, async { KnownSessions::new() })).await,
        }
    }

    /// What a tenant is for that is served.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant is unknown, suspended or at another schema version.
    pub fn check_served(&self, tenant: TenantId) -> Result<TenantKind, AccessError> {
        let snapshot = self.watch.now();
        let state = snapshot
            .by_id(tenant)
            .ok_or_else(|| AccessError::unavailable("directory", "no recent entry of this tenant"))?;
        let config = &self.maker.config;
        let clinic = state.kind == TenantKind::Clinic;
        let clinical = if clinic { config.clinical_version } else { config.ledger_version };
        let expected = (clinical, config.operations_version);
        let matching = (state.clinical_version, state.operations_version) == expected;
        if !matching {
            return Err(AccessError::unavailable("tenant", "its schemas are at another version"));
        }
        if !state.active {
            self.forget(tenant);
            return Err(AccessError::unavailable("tenant", "suspended"));
        }
        Ok(state.kind)
    }

    /// Drops everything held for a tenant: connections, sessions, unwrapped keys. The kill switch.
    pub fn forget(&self, tenant: TenantId) {
        let (cells, sessions) = (self.cells.clone(), self.sessions.clone());
        let keys = Arc::clone(&self.maker.keys);
        tokio::spawn(async move {
            keys.forget(tenant).await;
            cells.invalidate(&tenant).await;
            sessions.invalidate(&tenant).await;
        });
    }

    /// Who holds this session token, if it is live in this tenant.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] for a token of no live session (of another tenant, too), `Unfinished` while a factor
    /// is missing, `Unavailable` when it could not be looked up.
    pub async fn authenticate(
        &self,
        tenant: TenantId,
        token: &str,
        origin: Origin,
    ) -> Result<Caller, SessionError> {
        let cell = self.cell(tenant).await?;
        let hash: [u8; 32] = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .map_err(|_| SessionError::Unknown)?;
        let sessions = self.known_sessions(tenant).await;
        let row = sessions.row(&cell, (hash, Bearer::of(token))).await?;
        let now = self.maker.clock.now();
        // As it is known now, not as it was when the tenant was opened: the row may have taken a while.
        let tenant_active = self.watch.now().by_id(tenant).is_some_and(|state| state.active);
        let limits = &self.maker.config.sessions;
        let caller = row.caller(now, origin, tenant_active, limits)?;
        row.note_use(cell.operations(), &caller, limits);
        Ok(caller)
    }

    pub(crate) fn gate<'a>(&'a self, cell: &'a Cell, caller: &'a Caller) -> Gate<'a> {
        Gate { cell, policy: &self.policy, caller }
    }

    pub(crate) fn wanted(caller: &Caller, id: ResourceId) -> Wanted {
        Wanted { id, person: caller.person(), now: caller.now() }
    }

    /// Fetches the present version of a resource, sealed, for an action that opens.
    ///
    /// # Errors
    /// [`AccessError::Forbidden`] when no policy could ever allow the caller `A` on this kind,
    /// [`AccessError::Invisible`] when there is no such resource; both are on record then.
    pub async fn fetch<A: Act>(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Result<Sealed, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(kind).await?;
        match cell.rows.fetch(&[Self::wanted(caller, id)]).await?.pop().flatten() {
            Some(sealed) if sealed.kind == kind => Ok(sealed),
            _ => Err(gate.absent::<A>(kind).await?),
        }
    }

    /// Fetches a version by its number, sealed.
    ///
    /// # Errors
    /// As [`Vault::fetch`].
    pub async fn fetch_version<A: Act>(
        &self,
        caller: &Caller,
        (kind, id): (ResourceKind, ResourceId),
        version: u32,
    ) -> Result<Sealed, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(kind).await?;
        let found = fetch::version(cell.tenant(), cell.clinical(), Self::wanted(caller, id), version).await?;
        match found {
            Some(sealed) if sealed.kind == kind => Ok(sealed),
            _ => Err(gate.absent::<A>(kind).await?),
        }
    }

    /// Fetches several versions, newest first, sealed.
    ///
    /// # Errors
    /// As [`Vault::fetch`].
    pub async fn fetch_history<A: Act>(
        &self,
        caller: &Caller,
        (kind, id): (ResourceKind, ResourceId),
        which: Versions,
    ) -> Result<Vec<Sealed>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(kind).await?;
        let mut found =
            fetch::history(cell.tenant(), cell.clinical(), Self::wanted(caller, id), which).await?;
        found.retain(|sealed| sealed.kind == kind);
        if found.is_empty() { Err(gate.absent::<A>(kind).await?) } else { Ok(found) }
    }

    /// Permits opening one sealed row. Recorded either way before this returns.
    ///
    /// # Errors
    /// [`AccessError::Invisible`] or [`AccessError::Forbidden`] when policy says no, [`AccessError::Gone`] for a
    /// deletion, [`AccessError::Unavailable`] when the key or the audit is away.
    pub async fn permit<A: Opens>(&self, caller: &Caller, sealed: &Sealed) -> Result<Permit<A>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        self.gate(&cell, caller).permit(sealed).await
    }

    /// Asks whether the caller may do `A` to a row, before a use case tells anything else about the request: whatever it
    /// says about a row that the caller may not know of tells that the row is there. Gives how much of it the caller may
    /// see. A refusal is recorded; a yes is not, and is no permit.
    ///
    /// # Errors
    /// [`AccessError::Invisible`] or [`AccessError::Forbidden`] when policy says no, [`AccessError::Unavailable`] when the
    /// tenant or the audit is away.
    pub async fn may<A: Act>(&self, caller: &Caller, sealed: &Sealed) -> Result<Projection, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        self.gate(&cell, caller).may::<A>(sealed).await
    }

    /// Records that what the caller may deal with is deleted, and gives the error that says so.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant or the audit is away.
    pub async fn gone<A: Act>(&self, caller: &Caller, sealed: &Sealed) -> Result<AccessError, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.record_row::<A>(sealed, Outcome::NotFound, Grounds::default()).await?;
        Ok(AccessError::Gone)
    }

    /// Permits opening several rows with one entry in the ledger that names each of them; rows that policy hides are
    /// left out.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when a key or the audit is away.
    pub async fn permit_all<A: Opens>(
        &self,
        caller: &Caller,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<(Sealed, Permit<A>)>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        crate::finding::permit_rows(&self.gate(&cell, caller), sealed, None).await
    }

    /// Finds, decides, confirms and records: the page of resources that the caller may see, each with its permit, and
    /// where the next page starts.
    ///
    /// # Errors
    /// [`AccessError::Forbidden`] when no policy could ever allow it, [`AccessError::NotShown`] when none could show what is
    /// asked for, [`AccessError::TooCostly`] for a search that is too wide, [`AccessError::Unavailable`].
    pub async fn find(
        &self,
        caller: &Caller,
        query: &RecordQuery,
    ) -> Result<crate::finding::Page, AccessError> {
        self.page::<Search>(caller, query).await
    }

    /// Finds what is there already, for whoever is about to write it.
    ///
    /// # Errors
    /// As [`Vault::find`].
    pub async fn find_match(
        &self,
        caller: &Caller,
        query: &RecordQuery,
    ) -> Result<Vec<(Sealed, Permit<Match>)>, AccessError> {
        Ok(self.page::<Match>(caller, query).await?.found)
    }

    async fn page<A: Opens>(
        &self,
        caller: &Caller,
        query: &RecordQuery,
    ) -> Result<crate::finding::Page<A>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(query.kind).await?;
        gate.precheck_shown::<A>(query.kind, &query.shown_by).await?;
        crate::finding::find(&gate, &gate.narrowed(A::ACTION, query)).await
    }

    /// Permits new resources, updates and deletions, all or none, with entries that name each of them.
    ///
    /// # Errors
    /// The refusal of the first change that policy forbids; [`AccessError::Unavailable`].
    pub async fn permit_changes(
        &self,
        caller: &Caller,
        planned: Vec<Planned>,
    ) -> Result<Vec<Change>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        Plans { gate: &gate }.permit(planned).await
    }

    /// Writes permitted changes in one transaction: all or nothing.
    ///
    /// # Errors
    /// [`AccessError::Conflict`] when a version is not the present one any more; [`AccessError::Invalid`] for a change
    /// that was permitted to somebody else; [`AccessError::Unavailable`]. The failure is on record too.
    pub async fn commit(&self, caller: &Caller, changes: Vec<Change>) -> Result<(), AccessError> {
        if !changes.iter().all(|change| change.is_of(caller)) {
            return Err(AccessError::Invalid("a change is made by the person that it was permitted to"));
        }
        let cell = self.cell(caller.tenant()).await?;
        let about: Vec<(ResourceKind, ResourceId)> = changes.iter().map(Change::about).collect();
        let steps: Vec<Step> = changes.into_iter().flat_map(|change| change.into_steps(caller)).collect();
        let written = write::commit(&cell, steps).await;
        if written.is_err() {
            self.gate(&cell, caller).failed(&about).await?;
        }
        written
    }
}
