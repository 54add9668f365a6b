//! `carekeep dev`: the whole product on one machine, with private servers, demo tenants and demo people.
//!
//! Everything lives below one folder and ends with this process. Demo people are invited and enrolled through the same
//! API as anybody: there is no back door.

mod demo;
mod servers;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Instant,
};

use carekeep_tenancy::{TenantFile, TenantRecord};
use clap::Args;

use crate::{
    cli::{say, stop_signal},
    config::{Config, DatabaseConfig, KeysConfig, TlsSource},
    error::Failure,
    serve,
};
use servers::{Servers, write_private};

/// How to run the development installation.
#[derive(Debug, Clone, Args)]
pub struct DevOptions {
    /// Where everything is kept.
    #[arg(long, default_value = ".carekeep")]
    pub state: PathBuf,
    /// Folder with one folder per tenant, each with a `tenant.toml`.
    #[arg(long, default_value = "tenants")]
    pub tenants: PathBuf,
    /// Folder of FHIR transaction bundles (`.json` or `.json.gz`) to import into the first tenant, instead of generated ones.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Import nothing.
    #[arg(long)]
    pub no_data: bool,
    /// Public port; the next free one is taken if it is in use. 0 takes any.
    #[arg(long, default_value_t = 8443)]
    pub port: u16,
    /// Multiply every rate limit, for a bench: the limits stay in the path.
    #[arg(long, default_value_t = 1, hide = true)]
    pub limit_factor: u32,
    /// Set up, print, and stop again.
    #[arg(long)]
    pub once: bool,
}

/// Runs it until Ctrl-C.
///
/// # Errors
/// [`Failure`] with what to do.
pub async fn run(options: DevOptions) -> Result<(), Failure> {
    let began = Instant::now();
    let telemetry = carekeep_gateway::telemetry::init(&carekeep_gateway::telemetry::TelemetryConfig {
        filter: "warn".to_owned(),
        format: carekeep_gateway::telemetry::LogFormat::Pretty,
        service: "carekeep-dev",
        ..Default::default()
    })?;
    let mut installation = Installation::start(&options).await?;
    let outcome = installation.open(&options, telemetry.metrics.clone(), began).await;
    telemetry.shutdown();
    installation.servers.stop().await;
    outcome
}

/// The private servers and their configuration.
struct Installation {
    servers: Servers,
    config: Config,
}

impl Installation {
    async fn start(options: &DevOptions) -> Result<Self, Failure> {
        say("starting the private database and cache ...");
        let servers = Servers::start(&options.state).await?;
        let mut config = configuration(&options.state, &servers, free_port(options.port)?)?;
        config.limit_factor = options.limit_factor;
        Ok(Self { servers, config })
    }

    async fn open(
        &mut self,
        options: &DevOptions,
        metrics: carekeep_gateway::telemetry::Metrics,
        began: Instant,
    ) -> Result<(), Failure> {
        let files = TenantFile::read_all(&options.tenants)?;
        let tenants = self.tenants(&files).await?;
        let running = serve::start(&self.config, metrics).await?;
        // For the other commands, which make links and cannot ask the listener.
        self.config.public_ports = vec![running.public.port()];
        write(&self.config, &options.state)?;
        let demo = demo::prepare(&running, &files, &tenants, options).await;
        let opened = match demo {
            Ok(demo) => {
                demo.announce(&options.state, began.elapsed());
                if !options.once {
                    stop_signal().await;
                    say("stopping ...");
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        running.stop().await;
        opened
    }

    async fn tenants(&self, files: &[TenantFile]) -> Result<Vec<TenantRecord>, Failure> {
        let plane = serve::control_plane(&self.config).await?;
        plane.migrate_all(4, |_, _| ()).await?;
        let mut tenants = Vec::with_capacity(files.len());
        for file in files {
            say(&format!("tenant {} ...", file.tenant.slug));
            if let Some(partner) = &file.partner {
                plane.ensure_partner(&partner.slug, &partner.name).await?;
            }
            tenants.push(plane.create(&file.new_tenant()).await?);
        }
        Ok(tenants)
    }
}

/// The configuration that the development installation runs with; also written to `carekeep.toml`, so that the other
/// commands can be tried on it.
fn configuration(state: &Path, servers: &Servers, port: u16) -> Result<Config, Failure> {
    let database = DatabaseConfig {
        host: servers.postgres.socket_dir().to_string_lossy().into_owned(),
        port: servers.postgres.port(),
        tls: false,
    };
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = Config {
        profile: carekeep_kernel::Profile::Dev,
        listen: loopback(port),
        internal: loopback(0),
        public_ports: Vec::new(),
        directory: database.clone(),
        operations: database.clone(),
        clinical: database,
        gateway_password_file: servers.secrets.file("gateway-password"),
        provisioner_password_file: Some(servers.secrets.file("provisioner-password")),
        control_token_file: Some(servers.secrets.file("control-token")),
        limiter_secret_file: servers.secrets.file("limiter-secret"),
        tenant_connections: carekeep_vault::PoolLimits::default().total,
        keys: KeysConfig::Local { directory: state.join("keys") },
        redis: Some(servers.redis.url()),
        tls: TlsSource::Dev { directory: state.join("tls") },
        limit_factor: 1,
        identity_providers: None,
        otlp_endpoint: None,
    };
    write(&config, state)?;
    Ok(config)
}

fn write(config: &Config, state: &Path) -> Result<(), Failure> {
    let path = state.join("carekeep.toml");
    let text = toml::to_string(config).map_err(|error| Failure::message(error.to_string()))?;
    write_private(&path, &text)
}

/// The wanted port, or the next one that is free.
fn free_port(wanted: u16) -> Result<u16, Failure> {
    if wanted == 0 {
        return Ok(0);
    }
    (wanted..wanted.saturating_add(50))
        .find(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| Failure::message(format!("no free port from {wanted} on: name one with --port")))
}
