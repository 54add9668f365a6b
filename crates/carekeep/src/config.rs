//! Configuration of a process: one TOML file. Secrets are files of their own, named in it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use carekeep_kernel::Profile;
use carekeep_tenancy::CellEndpoints;
use carekeep_vault::{Endpoint, PoolLimits};
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// A database server. The three databases may be three servers.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Host name, or the directory of a Unix socket.
    pub host: String,
    /// Port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Whether TLS with a verified certificate is required. Only a Unix socket or a loopback host may go without.
    #[serde(default = "yes")]
    pub tls: bool,
}

const fn default_port() -> u16 {
    5432
}

fn default_tenant_connections() -> usize {
    PoolLimits::default().total
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

/// Which key service.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "provider", rename_all = "lowercase", deny_unknown_fields)]
pub enum KeysConfig {
    /// One machine; refused by the production profile.
    Local {
        /// Where its keys are.
        directory: PathBuf,
    },
    /// AWS KMS.
    Aws {
        /// Region, such as `eu-central-1`.
        region: String,
        /// Another endpoint than AWS's own, for tests.
        endpoint: Option<String>,
    },
}

/// Certificates of the public listener.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TlsSource {
    /// Made by ourselves; refused by the production profile.
    Dev {
        /// Where it is kept.
        directory: PathBuf,
    },
    /// PEM files.
    Pem {
        /// Certificate chain.
        chain: PathBuf,
        /// Private key.
        key: PathBuf,
    },
}

/// Identity providers that are not on the public internet.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LocalProviders {
    /// Whether tenants may name providers of this machine and of private networks.
    #[serde(default)]
    pub private: bool,
    /// An authority that is trusted for providers besides the public ones, PEM.
    pub authority: Option<PathBuf>,
}

/// The whole configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `dev` or `production`.
    pub profile: Profile,
    /// Where the public API listens (TLS).
    pub listen: SocketAddr,
    /// Where health, metrics and the control API listen (loopback).
    pub internal: SocketAddr,
    /// Public ports besides 443 and the listener's own.
    #[serde(default)]
    pub public_ports: Vec<u16>,
    /// The directory database.
    pub directory: DatabaseConfig,
    /// The operations database.
    pub operations: DatabaseConfig,
    /// The clinical database.
    pub clinical: DatabaseConfig,
    /// File with the gateway's password for the directory.
    pub gateway_password_file: PathBuf,
    /// File with the provisioner's password; only for processes that make tenants.
    pub provisioner_password_file: Option<PathBuf>,
    /// File with the token of the control API; without it there is no control API.
    pub control_token_file: Option<PathBuf>,
    /// File with 32 bytes in hexadecimal that key the limiter's hashes; the same in all processes of a cell.
    pub limiter_secret_file: PathBuf,
    /// Connections that this process may open with tenants' logins, to the operations and the clinical database together
    /// (400). The sum over all processes at a PostgreSQL, and about 30 for the directory, the control plane, migrations and
    /// superusers, must be less than its `max_connections`: it refuses what is beyond that. Two for every tenant that is in
    /// use at the same time keep the connections open; with fewer they are closed and opened anew (6 to 9 ms) all the time.
    #[serde(default = "default_tenant_connections")]
    pub tenant_connections: usize,
    /// The key service.
    pub keys: KeysConfig,
    /// The Redis that the processes of a cell share.
    pub redis: Option<String>,
    /// Certificates.
    pub tls: TlsSource,
    /// Multiplies every rate limit, for a bench on one machine; the production profile refuses any but 1.
    #[serde(default = "one")]
    pub limit_factor: u32,
    /// Identity providers on a developer's machine; refused by the production profile.
    pub identity_providers: Option<LocalProviders>,
    /// OpenTelemetry collector.
    pub otlp_endpoint: Option<String>,
}

impl Config {
    /// Reads a file and refuses what its profile does not allow.
    ///
    /// # Errors
    /// [`Failure`] with the line or setting that is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| Failure::message(format!("{}: {error}", path.display())))?;
        config.check()?;
        Ok(config)
    }

    /// Refuses what cannot work, and conveniences of a developer's machine under the production profile.
    ///
    /// # Errors
    /// [`Failure::Message`] that names the setting.
    pub fn check(&self) -> Result<(), Failure> {
        if self.tenant_connections == 0 {
            return Err(Failure::message("tenant_connections is 0: give it two for every tenant in use"));
        }
        if self.profile.allows_dev_conveniences() {
            return Ok(());
        }
        let refuse = |setting: &str, advice: &str| {
            Err(Failure::message(format!("the production profile refuses {setting}: {advice}")))
        };
        if matches!(self.keys, KeysConfig::Local { .. }) {
            return refuse("keys.provider = \"local\"", "use provider = \"aws\"");
        }
        if matches!(self.tls, TlsSource::Dev { .. }) {
            return refuse(
                "tls.kind = \"dev\"",
                "use kind = \"pem\" with a certificate of a public authority",
            );
        }
        if self.limit_factor != 1 {
            return refuse("limit_factor", "leave it out");
        }
        if self.identity_providers.is_some() {
            return refuse(
                "identity_providers",
                "providers are on the public internet, with its certificates",
            );
        }
        for (name, database) in
            [("directory", &self.directory), ("operations", &self.operations), ("clinical", &self.clinical)]
        {
            if !database.tls && !database.host.starts_with('/') {
                return refuse(
                    &format!("{name}.tls = false"),
                    "databases are reached by TLS or a Unix socket",
                );
            }
        }
        Ok(())
    }

    /// The port of links to tenants' pages, unless it is 443. A production listener stands behind whatever forwards 443
    /// to it; a developer's is reached at its own port, which is `bound` when the configuration says "any".
    #[must_use]
    pub fn link_port(&self, bound: Option<u16>) -> Option<u16> {
        let configured = Some(self.listen.port()).filter(|port| *port != 0);
        // A listener that takes any port: whoever started it wrote down which one it got.
        let own = bound.or(configured).or(self.public_ports.first().copied()).unwrap_or(0);
        (self.profile.allows_dev_conveniences() && own != 443 && own != 0).then_some(own)
    }

    /// Where the databases are.
    #[must_use]
    pub fn endpoints(&self) -> CellEndpoints {
        let endpoint = |config: &DatabaseConfig, database: &str| Endpoint {
            host: config.host.clone(),
            port: config.port,
            database: database.to_owned(),
            tls: config.tls && !config.host.starts_with('/'),
        };
        CellEndpoints {
            directory: endpoint(&self.directory, "directory"),
            operations: endpoint(&self.operations, "operations"),
            clinical: endpoint(&self.clinical, "clinical"),
        }
    }
}

/// The contents of a secret's file, without the line end.
///
/// # Errors
/// [`Failure::File`] when it cannot be read; [`Failure::Message`] when others may read it or it is empty.
pub fn secret(path: &Path) -> Result<String, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(Failure::file(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::message(format!("{}: others may read it: chmod 600 it", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::message(format!("{}: is empty: put the secret into it", path.display())));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(profile: &str, keys: &str, tls: &str, database_tls: bool) -> String {
        format!(
            "profile = \"{profile}\"\nlisten = \"127.0.0.1:8443\"\ninternal = \"127.0.0.1:8444\"\n
             gateway_password_file = \"a\"\nlimiter_secret_file = \"b\"\n
             [directory]\nhost = \"db.example\"\ntls = {database_tls}\n[operations]\nhost = \"db.example\"\n
             [clinical]\nhost = \"/run/pg\"\ntls = false\n[keys]\n{keys}\n[tls]\n{tls}\n"
        )
    }

    #[test]
    fn k9_the_production_profile_refuses_what_is_for_one_machine() {
        let (aws, local) =
            ("provider = \"aws\"\nregion = \"eu-central-1\"", "provider = \"local\"\ndirectory = \"k\"");
        let (pem, dev) = ("kind = \"pem\"\nchain = \"c\"\nkey = \"k\"", "kind = \"dev\"\ndirectory = \"t\"");
        let check = |text: String| toml::from_str::<Config>(&text).unwrap().check();
        assert!(check(text("production", aws, pem, true)).is_ok());
        assert!(check(text("production", local, pem, true)).is_err());
        assert!(check(text("production", aws, dev, true)).is_err());
        assert!(check(text("production", aws, pem, false)).is_err());
        assert!(check(text("dev", local, dev, false)).is_ok());
        let providers =
            |profile| format!("identity_providers = {{ private = true }}\n{}", text(profile, aws, pem, true));
        assert!(check(providers("production")).is_err());
        assert!(check(providers("dev")).is_ok());
    }

    #[test]
    fn a_budget_of_no_connections_is_refused_and_without_one_the_default_holds() {
        let (keys, tls) = ("provider = \"local\"\ndirectory = \"k\"", "kind = \"dev\"\ndirectory = \"t\"");
        let text = text("dev", keys, tls, false);
        let read = |line: &str| toml::from_str::<Config>(&format!("{line}\n{text}")).unwrap();
        assert_eq!(read("").tenant_connections, 400);
        assert_eq!(read("tenant_connections = 7").tenant_connections, 7);
        assert!(read("tenant_connections = 7").check().is_ok());
        assert!(read("tenant_connections = 0").check().is_err());
    }
}
