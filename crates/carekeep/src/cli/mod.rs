//! The commands.

pub mod audit;
pub mod policy;
pub mod tenant;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{config::Config, dev, error::Failure, serve};

/// Telehealth and health-record backend with a zero-trust policy layer.
#[derive(Parser)]
#[command(name = "carekeep", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Subcommand)]
pub enum Command {
    /// Run the product on this machine with private servers and demo tenants.
    Dev(dev::DevOptions),
    /// Run a gateway process.
    Serve {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Bring the schemas of all tenants to this binary's version.
    Migrate {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Tenants migrated at the same time, 1 to 64.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
        workers: u8,
    },
    /// Make, list and show tenants.
    Tenant {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
        /// What to do.
        #[command(subcommand)]
        command: tenant::TenantCommand,
    },
    /// Check, prove and explain policies.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Export and verify audit ledgers.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

impl Cli {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`], to be shown to the person.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Dev(options) => dev::run(options).await,
            Command::Serve { config } => run_gateway(&Config::read(&config)?).await,
            Command::Migrate { config, workers } => {
                let plane = serve::control_plane(&Config::read(&config)?).await?;
                let done = plane
                    .migrate_all(usize::from(workers), |done, total| {
                        say(&format!("migrated {done} of {total}"))
                    })
                    .await?;
                say(&format!("{done} tenants are at this version"));
                Ok(())
            }
            Command::Tenant { config, command } => command.run(&Config::read(&config)?).await,
            Command::Policy(command) => command.run().await,
            Command::Audit(command) => command.run().await,
        }
    }
}

async fn run_gateway(config: &Config) -> Result<(), Failure> {
    let telemetry = carekeep_gateway::telemetry::init(&carekeep_gateway::telemetry::TelemetryConfig {
        otlp_endpoint: config.otlp_endpoint.clone(),
        service: "carekeep-serve",
        ..Default::default()
    })?;
    let running = serve::start(config, telemetry.metrics.clone()).await?;
    tracing::info!(public = %running.public, internal = %running.internal, "serving");
    stop_signal().await;
    running.stop().await;
    telemetry.shutdown();
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminated = async {
        match terminate.as_mut() {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Tells the person at the terminal.
#[expect(clippy::print_stdout, reason = "a command's answer belongs on standard output")]
pub fn say(text: &str) {
    println!("{text}");
}
