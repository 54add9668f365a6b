//! The control plane's hands: the one credential that makes roles and schemas.

use std::sync::Arc;

use carekeep_kernel::{Clock, PartnerId, Random, TenantId, TenantKind};
use carekeep_keys::KeyService;
use carekeep_vault::Endpoint;
use sqlx::{Connection, PgConnection, PgPool, Row, postgres::PgConnectOptions, postgres::PgPoolOptions};

use crate::{
    Database, TenancyError,
    cluster::{DIRECTORY_SCHEMA, GATEWAY_ROLE, PROVISIONER_ROLE},
    lint,
    migrate::migrate_schema,
    name::check_display,
    name::check_slug,
    provision,
};

/// The databases of a cell.
#[derive(Debug, Clone)]
pub struct CellEndpoints {
    /// The control plane's directory.
    pub directory: Endpoint,
    /// People, sessions, schedules.
    pub operations: Endpoint,
    /// Sealed health records.
    pub clinical: Endpoint,
}

/// A tenant as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TenantRecord {
    /// Its id.
    pub id: TenantId,
    /// Whose people it has.
    pub kind: TenantKind,
    /// The slug of its partner; the platform's own tenant has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// Its short name.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The region that holds its data.
    pub region: String,
    /// `provisioning`, `active` or `suspended`.
    pub status: String,
    /// Its host names.
    pub hosts: Vec<String>,
    /// The colour of its brand, `#rrggbb`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent: Option<String>,
    /// Migrations of its clinical schema.
    pub clinical_version: i32,
    /// Migrations of its operations schema.
    pub operations_version: i32,
}

/// What a new tenant is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    /// Whose people it is to have.
    pub kind: TenantKind,
    /// Its partner's slug, without which only the platform's own tenant is; the partner must exist.
    pub partner: Option<String>,
    /// Its short name, unique on the platform.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The region that will hold its data.
    pub region: String,
    /// Its host names, lower case, without port.
    pub hosts: Vec<String>,
    /// The colour of its brand, `#rrggbb`, which people can read; without one its pages have the product's.
    pub accent: Option<String>,
}

/// Makes, lists and migrates tenants.
pub struct ControlPlane {
    pub(crate) directory: PgPool,
    endpoints: CellEndpoints,
    password: String,
    pub(crate) keys: Arc<dyn KeyService>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

impl ControlPlane {
    /// Connects with the provisioner's password.
    #[must_use]
    pub fn new(
        endpoints: CellEndpoints,
        password: String,
        keys: Arc<dyn KeyService>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let options = endpoints.directory.options().username(PROVISIONER_ROLE).password(&password);
        let directory = PgPoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .acquire_timeout(std::time::Duration::from_secs(5))
            .connect_lazy_with(options);
        Self { directory, endpoints, password, keys, clock, random }
    }

    pub(crate) async fn connect(&self, database: Database) -> Result<PgConnection, TenancyError> {
        PgConnection::connect_with(&self.options(database))
            .await
            .map_err(TenancyError::database(database.name()))
    }

    fn options(&self, database: Database) -> PgConnectOptions {
        let endpoint = match database {
            Database::Directory => &self.endpoints.directory,
            Database::Operations => &self.endpoints.operations,
            Database::Clinical => &self.endpoints.clinical,
        };
        endpoint.options().username(PROVISIONER_ROLE).password(&self.password)
    }

    /// The partner of this slug, made if it is new.
    ///
    /// # Errors
    /// [`TenancyError::Name`] for a slug or name that cannot be used, [`TenancyError::Database`].
    pub async fn ensure_partner(&self, slug: &str, name: &str) -> Result<PartnerId, TenancyError> {
        check_slug(slug)?;
        check_display("partner name", name)?;
        let id = PartnerId::generate(&*self.clock, &*self.random);
        let row = sqlx::query(
            "INSERT INTO directory.partner (id, slug, name, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (slug) DO UPDATE SET name = directory.partner.name RETURNING id",
        )
        .bind(id.as_uuid())
        .bind(slug)
        .bind(name)
        .bind(time::OffsetDateTime::from(self.clock.now()))
        .fetch_one(&self.directory)
        .await
        .map_err(TenancyError::database("directory"))?;
        row.try_get(0).map(PartnerId::from_uuid).map_err(TenancyError::database("directory"))
    }

    /// Makes a tenant ready: directory entry, keys, schemas, login roles, hosts. Calling it again with the same values
    /// resumes what was interrupted, and changes nothing when all is done.
    ///
    /// # Errors
    /// [`TenancyError::Name`], [`TenancyError::Taken`], [`TenancyError::Unknown`] partner, and failures of the
    /// database or the key service, after which the call can be repeated.
    pub async fn create(&self, new: &NewTenant) -> Result<TenantRecord, TenancyError> {
        provision::create(self, new).await
    }

    /// All tenants, by slug.
    ///
    /// # Errors
    /// [`TenancyError::Database`].
    pub async fn list(&self) -> Result<Vec<TenantRecord>, TenancyError> {
        self.select("ORDER BY t.slug", None).await
    }

    /// The tenant of this slug.
    ///
    /// # Errors
    /// [`TenancyError::Unknown`], [`TenancyError::Database`].
    pub async fn show(&self, slug: &str) -> Result<TenantRecord, TenancyError> {
        let found = self.select("WHERE t.slug = $1", Some(slug)).await?;
        found.into_iter().next().ok_or_else(|| TenancyError::Unknown(slug.to_owned()))
    }

    /// Suspends or resumes a tenant; gateways follow within seconds.
    ///
    /// # Errors
    /// [`TenancyError::Unknown`], also for a tenant that is still being made; [`TenancyError::Database`].
    pub async fn set_suspended(&self, slug: &str, suspended: bool) -> Result<(), TenancyError> {
        let done = sqlx::query(
            "UPDATE directory.tenant SET status = $2, updated_at = $3 WHERE slug = $1 AND status <> 'provisioning'",
        )
        .bind(slug)
        .bind(if suspended { "suspended" } else { "active" })
        .bind(time::OffsetDateTime::from(self.clock.now()))
        .execute(&self.directory)
        .await
        .map_err(TenancyError::database("directory"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(TenancyError::Unknown(slug.to_owned())) }
    }

    async fn select(
        &self,
        tail: &'static str,
        slug: Option<&str>,
    ) -> Result<Vec<TenantRecord>, TenancyError> {
        let sql = format!(
            "SELECT t.id, p.slug, t.slug, t.name, t.region, t.status, t.clinical_version, t.operations_version,
                    array(SELECT h.host FROM directory.tenant_host h WHERE h.tenant = t.id ORDER BY h.host), t.accent, t.kind
             FROM directory.tenant t LEFT JOIN directory.partner p ON p.id = t.partner {tail}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = if let Some(slug) = slug { query.bind(slug.to_owned()) } else { query };
        let rows = query.fetch_all(&self.directory).await.map_err(TenancyError::database("directory"))?;
        rows.iter()
            .map(|row| {
                let kind: String = row.try_get(10)?;
                Ok(TenantRecord {
                    id: TenantId::from_uuid(row.try_get(0)?),
                    kind: kind.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                    partner: row.try_get(1)?,
                    slug: row.try_get(2)?,
                    name: row.try_get(3)?,
                    region: row.try_get(4)?,
                    status: row.try_get(5)?,
                    clinical_version: row.try_get(6)?,
                    operations_version: row.try_get(7)?,
                    hosts: row.try_get(8)?,
                    accent: row.try_get(9)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(TenancyError::database("directory"))
    }

    /// Brings every tenant's schemas to this binary's version, `workers` tenants at a time, and lints the catalogues.
    /// `progress` hears of each tenant done: how many of how many.
    ///
    /// # Errors
    /// The first failure; tenants that were done stay done, and the call can be repeated.
    pub async fn migrate_all(
        &self,
        workers: usize,
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<usize, TenancyError> {
        use futures_util::{StreamExt, TryStreamExt, stream};
        let mut directory = self.connect(Database::Directory).await?;
        let place = (Database::Directory, TenantKind::default());
        migrate_schema(&mut directory, place, DIRECTORY_SCHEMA, GATEWAY_ROLE).await?;
        directory.close().await.map_err(TenancyError::database("directory"))?;
        let mut tenants = self.list().await?;
        // One that is half made has no logins to grant to yet: whoever resumes it brings it along.
        tenants.retain(|tenant| tenant.status != "provisioning");
        let (total, done) = (tenants.len(), std::sync::atomic::AtomicUsize::new(0));
        stream::iter(tenants.iter().map(Ok::<_, TenancyError>))
            .try_for_each_concurrent(workers.max(1), |tenant| {
                let (done, progress) = (&done, &progress);
                async move {
                    self.migrate(tenant.id, tenant.kind).await?;
                    progress(done.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1, total);
                    Ok(())
                }
            })
            .await?;
        stream::iter([Database::Directory, Database::Operations, Database::Clinical])
            .then(|database| self.lint(database))
            .try_collect::<Vec<()>>()
            .await?;
        Ok(total)
    }

    /// Brings one tenant's schemas to this binary's version and notes it in the directory.
    pub(crate) async fn migrate(&self, tenant: TenantId, kind: TenantKind) -> Result<(), TenancyError> {
        let mut versions = [0; 2];
        for (slot, database) in versions.iter_mut().zip([Database::Clinical, Database::Operations]) {
            let mut connection = self.connect(database).await?;
            let role = provision::role_name(tenant, database);
            *slot = migrate_schema(&mut connection, (database, kind), &tenant.schema(), &role).await?;
            connection.close().await.map_err(TenancyError::database(database.name()))?;
        }
        sqlx::query(
            "UPDATE directory.tenant SET clinical_version = $2, operations_version = $3, updated_at = $4
             WHERE id = $1 AND (clinical_version, operations_version) <> ($2, $3)",
        )
        .bind(tenant.as_uuid())
        .bind(versions[0])
        .bind(versions[1])
        .bind(time::OffsetDateTime::from(self.clock.now()))
        .execute(&self.directory)
        .await
        .map_err(TenancyError::database("directory"))?;
        Ok(())
    }

    /// Checks the live catalogue of a database against the rules of tenancy (BARS T5).
    ///
    /// # Errors
    /// [`TenancyError::Lint`] with everything that was found.
    pub async fn lint(&self, database: Database) -> Result<(), TenancyError> {
        let mut connection = self.connect(database).await?;
        let findings =
            lint::findings(&mut connection).await.map_err(TenancyError::database(database.name()))?;
        connection.close().await.map_err(TenancyError::database(database.name()))?;
        if findings.is_empty() {
            return Ok(());
        }
        Err(TenancyError::Lint { database: database.name(), findings })
    }
}
