//! Demo people and sample data, made through the public API.

use std::time::Duration;

use carekeep_tenancy::{TenantFile, TenantRecord};

use super::DevOptions;
use crate::{cli::say, error::Failure, serve::Running};

/// What was prepared.
pub(super) struct Demo {
    bases: Vec<(String, String)>,
    internal: String,
}

pub(super) async fn prepare(
    running: &Running,
    files: &[TenantFile],
    tenants: &[TenantRecord],
    _options: &DevOptions,
) -> Result<Demo, Failure> {
    running.vault.directory().refresh().await?;
    let port = running.public.port();
    let bases = files
        .iter()
        .zip(tenants)
        .map(|(file, tenant)| {
            let host = tenant.hosts.first().cloned().unwrap_or_default();
            (file.tenant.name.clone(), format!("https://{host}:{port}"))
        })
        .collect();
    Ok(Demo { bases, internal: format!("http://{}", running.internal) })
}

impl Demo {
    pub(super) fn announce(&self, took: Duration) {
        say(&format!("\nCarekeep is up after {:.1} s. Ctrl-C stops everything.\n", took.as_secs_f64()));
        for (name, base) in &self.bases {
            say(&format!("  {name:<28} {base}"));
        }
        say(&format!("  {:<28} {}\n", "health, metrics, control", self.internal));
    }
}
