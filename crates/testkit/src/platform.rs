//! One Postgres, prepared as `carekeep migrate` prepares it, with the production roles and grants: a test that ran as
//! the superuser would prove nothing about them (BARS A2).

use std::{path::PathBuf, sync::Arc};

use carekeep_devservers::{Postgres, PostgresOptions, Scratch};
use carekeep_kernel::{Clock, OsRandom, Profile, Random, SystemClock, TenantKind};
use carekeep_keys::{CacheLimits, KeyCache, KeyService, LocalKms};
use carekeep_policy::{ActivePolicy, Engine, PolicySource};
use carekeep_tenancy::{
    CellEndpoints, ControlPlane, Database, GATEWAY_ROLE, NewTenant, PlatformPasswords, TenantRecord,
};
use carekeep_vault::{Endpoint, PoolLimits, SessionLimits, Vault, VaultConfig, VaultParts};
use sqlx::{PgPool, postgres::PgPoolOptions};

/// The gateway's directory password in tests.
pub(crate) const GATEWAY_PASSWORD: &str = "gateway-password-for-tests";
/// The provisioner's password in tests.
pub(crate) const PROVISIONER_PASSWORD: &str = "provisioner-password-for-tests";

/// A platform of its own for one test.
pub struct Platform {
    /// The database server; stop or kill it to see what happens.
    pub postgres: Postgres,
    /// Makes tenants.
    pub control: ControlPlane,
    /// Where the databases are.
    pub endpoints: CellEndpoints,
    /// The key service.
    pub kms: Arc<dyn KeyService>,
    /// Time, as the platform sees it.
    pub clock: Arc<dyn Clock>,
    /// Randomness, as the platform sees it.
    pub random: Arc<dyn Random>,
    /// For putting people in: a test with a cast would otherwise connect a hundred times.
    pub(crate) people: PgPool,
    scratch: Scratch,
}

impl Platform {
    /// Starts one on the machine's clock.
    pub async fn start() -> Self {
        Self::start_at(Arc::new(SystemClock)).await
    }

    /// Starts one on a clock of the test's.
    pub async fn start_at(clock: Arc<dyn Clock>) -> Self {
        let scratch = Scratch::new().unwrap();
        let postgres = Postgres::start(PostgresOptions::for_tests(scratch.path().join("pg"))).await.unwrap();
        Self::on(postgres, scratch, clock).await
    }

    async fn on(postgres: Postgres, scratch: Scratch, clock: Arc<dyn Clock>) -> Self {
        let random: Arc<dyn Random> = Arc::new(OsRandom);
        let endpoint = |database: &str| Endpoint {
            host: postgres.socket_dir().to_string_lossy().into_owned(),
            port: postgres.port(),
            database: database.to_owned(),
            tls: false,
        };
        let endpoints = CellEndpoints {
            directory: endpoint("directory"),
            operations: endpoint("operations"),
            clinical: endpoint("clinical"),
        };
        let superuser = endpoint("postgres")
            .options()
            .username(postgres.superuser())
            .password(postgres.superuser_password());
        let passwords = PlatformPasswords {
            gateway: GATEWAY_PASSWORD.to_owned(),
            provisioner: PROVISIONER_PASSWORD.to_owned(),
        };
        carekeep_tenancy::prepare(&superuser, &passwords).await.unwrap();
        let kms: Arc<dyn KeyService> = Arc::new(
            LocalKms::open(
                &scratch.path().join("kms"),
                Profile::Dev,
                Arc::clone(&clock),
                Arc::clone(&random),
            )
            .unwrap(),
        );
        let control = plane(&endpoints, &kms, &clock, &random);
        control.ensure_partner("northstar", "Northstar Health").await.unwrap();
        let people = superuser_pool(&endpoints, &postgres, "operations");
        Self { postgres, control, endpoints, kms, clock, random, people, scratch }
    }

    /// One more control plane on the same databases, for a process that serves the control API.
    #[must_use]
    pub fn control_plane(&self) -> ControlPlane {
        plane(&self.endpoints, &self.kms, &self.clock, &self.random)
    }

    /// A directory that goes away with the platform.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Makes a tenant `<slug>.localhost`.
    pub async fn tenant(&self, slug: &str) -> TenantRecord {
        self.control.create(&Self::new_tenant(slug)).await.unwrap()
    }

    /// Makes the platform's own tenant, `platform.localhost`.
    pub async fn operators(&self) -> TenantRecord {
        let new = NewTenant { kind: TenantKind::Platform, partner: None, ..Self::new_tenant("platform") };
        self.control.create(&new).await.unwrap()
    }

    /// Makes a partner's own tenant, `<partner>.localhost`, and the partner if it is new.
    pub async fn partner(&self, partner: &str) -> TenantRecord {
        self.control.ensure_partner(partner, partner).await.unwrap();
        let new = NewTenant {
            kind: TenantKind::Partner,
            partner: Some(partner.to_owned()),
            ..Self::new_tenant(partner)
        };
        self.control.create(&new).await.unwrap()
    }

    /// What [`Platform::tenant`] makes.
    #[must_use]
    pub fn new_tenant(slug: &str) -> NewTenant {
        NewTenant {
            kind: TenantKind::Clinic,
            partner: Some("northstar".to_owned()),
            slug: slug.to_owned(),
            name: format!("Clinic {slug}"),
            region: "eu-1".to_owned(),
            hosts: vec![format!("{slug}.localhost")],
            accent: None,
        }
    }

    /// The configuration that vaults are opened with.
    #[must_use]
    pub fn vault_config(&self) -> VaultConfig {
        VaultConfig {
            clinical: self.endpoints.clinical.clone(),
            operations: self.endpoints.operations.clone(),
            clinical_version: Database::Clinical.expected_version(TenantKind::Clinic),
            ledger_version: Database::Clinical.expected_version(TenantKind::Platform),
            operations_version: Database::Operations.expected_version(TenantKind::Clinic),
            pool: PoolLimits::default(),
            operations_connections: 4,
            open_tenants: 1_000,
            sessions: SessionLimits::default(),
        }
    }

    /// Opens a vault, as a gateway process would.
    pub async fn vault(&self) -> Arc<Vault> {
        self.vault_with(self.vault_config()).await
    }

    /// Opens a vault with a configuration of the test's.
    pub async fn vault_with(&self, config: VaultConfig) -> Arc<Vault> {
        let policy = Engine::compile(&PolicySource::shipped(), None).unwrap();
        let parts = VaultParts {
            directory: self.gateway_directory(),
            keys: Arc::new(KeyCache::new(
                Arc::clone(&self.kms),
                Arc::clone(&self.clock),
                CacheLimits::default(),
            )),
            policy: Arc::new(ActivePolicy::new(Arc::new(policy)).unwrap()),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        };
        Vault::open(config, parts).await.unwrap()
    }

    /// The directory as a gateway sees it.
    #[must_use]
    pub fn gateway_directory(&self) -> PgPool {
        let options = self.endpoints.directory.options().username(GATEWAY_ROLE).password(GATEWAY_PASSWORD);
        PgPoolOptions::new().max_connections(2).test_before_acquire(false).connect_lazy_with(options)
    }

    /// A database as its superuser sees it: for attackers with the run of the machine, and for looking at the remains.
    #[must_use]
    pub fn superuser(&self, database: &str) -> PgPool {
        superuser_pool(&self.endpoints, &self.postgres, database)
    }
}

fn superuser_pool(endpoints: &CellEndpoints, postgres: &Postgres, database: &str) -> PgPool {
    let options = Endpoint { database: database.to_owned(), ..endpoints.directory.clone() }
        .options()
        .username(postgres.superuser())
        .password(postgres.superuser_password());
    PgPoolOptions::new().max_connections(4).connect_lazy_with(options)
}

fn plane(
    endpoints: &CellEndpoints,
    kms: &Arc<dyn KeyService>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> ControlPlane {
    let (kms, clock, random) = (Arc::clone(kms), Arc::clone(clock), Arc::clone(random));
    ControlPlane::new(endpoints.clone(), PROVISIONER_PASSWORD.to_owned(), kms, clock, random)
}
