//! What a vault needs to know of its surroundings.

use carekeep_kernel::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use carekeep_pool::PoolLimits;

use crate::session::SessionLimits;

/// Where a database is. The login is the tenant's own and comes from the directory.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name, or the directory of a Unix socket (starts with `/`).
    pub host: String,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// Whether the server's certificate is required and verified; pointless on a Unix socket.
    pub tls: bool,
}

impl Endpoint {
    /// Driver options without a login. Statement logging is off: statements have values.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        use sqlx::ConnectOptions;
        let options = PgConnectOptions::new_without_pgpass().port(self.port).database(&self.database);
        let options =
            if self.host.starts_with('/') { options.socket(&self.host) } else { options.host(&self.host) };
        let mode = if self.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable };
        options.ssl_mode(mode).disable_statement_logging()
    }
}

/// Configuration of a [`Vault`](crate::Vault).
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// The clinical database of this cell.
    pub clinical: Endpoint,
    /// The operations database of this cell.
    pub operations: Endpoint,
    /// The migrations that this binary expects of a tenant's clinical schema; others are answered 503.
    pub clinical_version: i32,
    /// Likewise of what a tenant without health data has in the clinical database: its ledger.
    pub ledger_version: i32,
    /// Likewise for the operations schema.
    pub operations_version: i32,
    /// Limits of the connections to both databases.
    pub pool: PoolLimits,
    /// Connections of one tenant to the operations database.
    pub operations_connections: usize,
    /// Tenants held open at once; the longest unused is closed first.
    pub open_tenants: u64,
    /// Session limits.
    pub sessions: SessionLimits,
}

/// A moment for the driver.
pub(crate) fn moment(timestamp: Timestamp) -> time::OffsetDateTime {
    timestamp.into()
}
