//! `carekeep serve`: a gateway process.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::Router;
use carekeep_care::fhir::BundleLimits;
use carekeep_gateway::{
    api::{self, Api, ApiParts, Hosts, Origins, Providers},
    edge::{
        DevAuthority, EdgeDeps, EdgeLimits, Listener, ServeHandle, Shutdown, ShutdownTrigger, TlsConfig,
        TrustedProxies, body::Pace, serve, shutdown,
    },
    limits::{Limiter, LimiterConfig, MonotonicTicks},
    outward::OutwardOptions,
    telemetry::{Metrics, Readiness},
};
use carekeep_kernel::{Clock, OsRandom, Random, SystemClock, TenantKind};
use carekeep_keys::{AwsKms, AwsKmsOptions, CacheLimits, KeyCache, KeyService, LocalKms};
use carekeep_policy::{ActivePolicy, Engine, PolicySource};
use carekeep_tenancy::{ControlPlane, Database, GATEWAY_ROLE};
use carekeep_vault::{PoolLimits, SessionLimits, Vault, VaultConfig, VaultParts};
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

use crate::{
    config::{Config, KeysConfig, TlsSource, secret},
    control,
    error::Failure,
    internal, pages,
};

/// A running gateway.
pub struct Running {
    /// Where the public API listens.
    pub public: SocketAddr,
    /// Where health, metrics and the control API listen.
    pub internal: SocketAddr,
    /// The vault, for whoever runs in the same process.
    pub vault: Arc<Vault>,
    handles: Vec<ServeHandle>,
    readiness: Readiness,
    trigger: ShutdownTrigger,
}

impl Running {
    /// Takes no new requests, finishes those under way, and stops.
    pub async fn stop(self) {
        self.readiness.drain();
        self.trigger.fire();
        for handle in self.handles {
            handle.finished().await;
        }
    }
}

/// The key service of a configuration.
///
/// # Errors
/// [`Failure::Keys`] when it cannot be opened, or is refused by the profile.
pub async fn key_service(config: &Config) -> Result<Arc<dyn KeyService>, Failure> {
    Ok(match &config.keys {
        KeysConfig::Local { directory } => {
            Arc::new(LocalKms::open(directory, config.profile, Arc::new(SystemClock), Arc::new(OsRandom))?)
        }
        KeysConfig::Aws { region, endpoint } => {
            let options =
                AwsKmsOptions { endpoint_url: endpoint.clone(), ..AwsKmsOptions::new(region.clone()) };
            Arc::new(AwsKms::connect(options).await)
        }
    })
}

/// The control plane, for processes that hold the provisioner's password.
///
/// # Errors
/// [`Failure`] when the password or the key service is missing.
pub async fn control_plane(config: &Config) -> Result<ControlPlane, Failure> {
    let path = config.provisioner_password_file.as_deref().ok_or_else(|| {
        Failure::message("provisioner_password_file is not set: this process may not make or change tenants")
    })?;
    let keys = key_service(config).await?;
    Ok(ControlPlane::new(config.endpoints(), secret(path)?, keys, Arc::new(SystemClock), Arc::new(OsRandom)))
}

/// Opens the vault of a configuration.
///
/// # Errors
/// [`Failure`] when the directory, the key service or the policies are not usable.
pub async fn open_vault(config: &Config) -> Result<Arc<Vault>, Failure> {
    let endpoints = config.endpoints();
    let options = endpoints
        .directory
        .options()
        .username(GATEWAY_ROLE)
        .password(&secret(&config.gateway_password_file)?);
    let directory = PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(3))
        .test_before_acquire(false)
        .connect_lazy_with(options);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let keys = KeyCache::new(key_service(config).await?, Arc::clone(&clock), CacheLimits::default());
    let policy = ActivePolicy::new(Arc::new(Engine::compile(&PolicySource::shipped(), None)?))?;
    let vault_config = VaultConfig {
        clinical: endpoints.clinical,
        operations: endpoints.operations,
        clinical_version: Database::Clinical.expected_version(TenantKind::Clinic),
        ledger_version: Database::Clinical.expected_version(TenantKind::Platform),
        operations_version: Database::Operations.expected_version(TenantKind::Clinic),
        pool: PoolLimits { total: config.tenant_connections, ..PoolLimits::default() },
        operations_connections: 4,
        open_tenants: 10_000,
        sessions: SessionLimits::default(),
    };
    let parts = VaultParts { directory, keys: Arc::new(keys), policy: Arc::new(policy), clock, random };
    Ok(Vault::open(vault_config, parts).await?)
}

/// Starts a gateway and returns when it listens. Must be called inside a tokio runtime.
///
/// # Errors
/// [`Failure`] when something that it needs is not there.
pub async fn start(config: &Config, metrics: Metrics) -> Result<Running, Failure> {
    config.check()?;
    let vault = open_vault(config).await?;
    let (trigger, signal) = shutdown::channel();
    let limiter = limiter(config, signal.clone())?;
    metrics.watch_limiter(&limiter);
    let readiness = readiness(&vault);
    let public = public(config, &vault, limiter, metrics.clone(), signal.clone()).await?;
    metrics.watch_connections("public", Arc::clone(&public.stats));
    let port = config.link_port(Some(public.local_addr.port()));
    let control = control(config, &vault, port).await?;
    let source = (Arc::clone(vault.clock()), Arc::clone(vault.random()));
    let router = internal::router(readiness.clone(), &metrics, control, source);
    let socket = bind(config.internal).await?;
    let internal = serve(Listener::internal(socket)?, router, EdgeLimits::default(), signal);
    metrics.watch_connections("internal", Arc::clone(&internal.stats));
    Ok(Running {
        public: public.local_addr,
        internal: internal.local_addr,
        vault,
        handles: vec![public, internal],
        readiness,
        trigger,
    })
}

fn limiter(config: &Config, signal: Shutdown) -> Result<Arc<Limiter>, Failure> {
    let secret = secret(&config.limiter_secret_file)?;
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(secret.as_bytes())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .ok_or_else(|| Failure::message("limiter_secret_file must hold 64 hexadecimal digits"))?;
    let redis = config.redis.as_deref().map(redis::Client::open).transpose()?;
    let mut limits = LimiterConfig::new(bytes);
    for lane in [&mut limits.address, &mut limits.tenant, &mut limits.principal, &mut limits.bulk] {
        lane.count = lane.count.saturating_mul(config.limit_factor.max(1));
    }
    Ok(Limiter::start(&limits, redis, Arc::new(MonotonicTicks::default()), signal))
}

fn readiness(vault: &Arc<Vault>) -> Readiness {
    let readiness = Readiness::new(Duration::from_secs(2));
    let watch = Arc::clone(vault.directory());
    readiness.register("directory", move || {
        let fresh = watch.now().is_fresh();
        async move { fresh }
    });
    readiness
}

/// What asks the identity providers of tenants.
fn providers(config: &Config) -> Result<Providers, Failure> {
    let local = config.identity_providers.clone().unwrap_or_default();
    let authority = local.authority.as_deref().map(|path| std::fs::read(path).map_err(Failure::file(path)));
    let options = OutwardOptions { private: local.private, authority: authority.transpose()? };
    Providers::new(&options).map_err(|error| Failure::message(error.to_string()))
}

async fn public(
    config: &Config,
    vault: &Arc<Vault>,
    limiter: Arc<Limiter>,
    metrics: Metrics,
    signal: Shutdown,
) -> Result<ServeHandle, Failure> {
    let limits = EdgeLimits::default();
    let api = Api::new(ApiParts {
        vault: Arc::clone(vault),
        limiter: Arc::clone(&limiter),
        bundle: BundleLimits { bytes: api::BUNDLE_BYTES, ..BundleLimits::default() },
        identity: api::identity::shared(vault).map_err(|error| Failure::message(error.to_string()))?,
        providers: providers(config)?,
        started: vault.clock().now(),
    });
    let deps = EdgeDeps {
        directory: Arc::new(Hosts(Arc::clone(vault.directory()))),
        origins: Arc::new(Origins::new(Arc::clone(vault))),
        limiter,
        metrics,
        routes: pages::offer(api::route_table()),
        proxies: TrustedProxies::default(),
        public_ports: config.public_ports.clone(),
        pace: Pace {
            window_bytes: limits.window_bytes(),
            window: limits.rate_window,
            total: limits.body_timeout,
        },
        clock: Arc::clone(vault.clock()),
        random: Arc::clone(vault.random()),
    };
    let routes = api::router(api).merge(pages::router(vault));
    let router = carekeep_gateway::edge::layers(routes, deps);
    let socket = bind(config.listen).await?;
    Ok(serve(Listener::public(socket, tls(config)?)?, router, limits, signal))
}

/// The control API, where this process may have one.
async fn control(config: &Config, vault: &Arc<Vault>, port: Option<u16>) -> Result<Option<Router>, Failure> {
    let Some(path) = &config.control_token_file else { return Ok(None) };
    let plane = control_plane(config).await?;
    Ok(Some(control::router(plane, Arc::clone(vault), secret(path)?, port)))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::message(format!("cannot listen on {address}: {error}; is it in use?")))
}

fn tls(config: &Config) -> Result<TlsConfig, Failure> {
    match &config.tls {
        TlsSource::Dev { directory } => {
            Ok(DevAuthority::load_or_create(directory, Arc::new(SystemClock))?.tls()?)
        }
        TlsSource::Pem { chain, key } => Ok(TlsConfig::from_pem(&read(chain)?, &read(key)?)?),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(Failure::file(path))
}
