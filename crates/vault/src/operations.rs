//! A tenant's operations connections: what the vault asks there itself, and how the store gets at them.

use std::{sync::Arc, time::Duration};

use sqlx::{
    PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use carekeep_pool::{Lease, TenantPool};

/// How long any one statement may take before its connection is closed and the caller is told to try again. A connection
/// is a part of what all tenants share.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(4);

/// A tenant's connections to its operations schema: few, opened when they are used, inside the budget of the process, and
/// the tenant's alone. Cheap to clone.
#[derive(Clone)]
pub struct OperationsConnections(Arc<TenantPool>);

impl OperationsConnections {
    pub(crate) const fn new(pool: Arc<TenantPool>) -> Self {
        Self(pool)
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// The connections, as long as somebody else keeps them.
    pub(crate) fn downgrade(&self) -> impl FnOnce() -> Option<Self> + Send + use<> {
        let weak = Arc::downgrade(&self.0);
        move || weak.upgrade().map(Self)
    }

    /// A connection, lent. Give it back before asking for another one: whoever waits for a second connection while holding
    /// the first keeps others waiting, who may be doing the same.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] when none became free in time; the driver's error when the database cannot be reached.
    pub async fn lease(&self) -> Result<OperationsLease, sqlx::Error> {
        Ok(OperationsLease(self.0.lease().await?))
    }

    /// Runs one statement and gives its first row, if it has any.
    pub(crate) async fn first_row(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        let mut lease = self.0.lease().await?;
        let asked = tokio::time::timeout(STATEMENT_LIMIT, query.fetch_optional(lease.connection()?));
        let row = asked.await.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
        lease.give_back();
        Ok(row)
    }
}

/// An operations connection in use. Dropped without [`give_back`](Self::give_back), after an error or with a cancelled
/// request, it is closed: no open transaction and no session state reaches the next holder.
#[must_use = "dropped unused, it closes a connection for nothing"]
pub struct OperationsLease(Lease);

impl OperationsLease {
    /// The connection.
    ///
    /// # Errors
    /// None while the lease is held.
    pub fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.0.connection()
    }

    /// Returns the connection for the next holder. Call it only when the last statement succeeded, outside a transaction.
    pub fn give_back(self) {
        self.0.give_back();
    }
}
