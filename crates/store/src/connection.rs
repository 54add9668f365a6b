//! sea-orm on the vault's operations connections.
//!
//! - Each statement outside a transaction leases a connection and gives it back when it succeeded.
//! - A transaction keeps one lease from BEGIN to COMMIT or ROLLBACK. A statement takes the lease out and puts it back when
//!   it succeeded: after an error, or when the future of the statement or the transaction itself is dropped, the
//!   connection is closed, and nothing of the transaction remains.
//! - Statements and their values are not logged, and errors do not quote them.

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use carekeep_vault::{OperationsConnections, OperationsLease, STATEMENT_LIMIT};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Values,
    prelude::async_trait::async_trait,
};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, Postgres,
    postgres::{PgQueryResult, PgRow},
    query::Query,
};

/// Where a statement's lease comes from, and goes to when the statement succeeded.
#[async_trait]
pub(crate) trait Leases: Sync {
    async fn take(&self) -> Result<OperationsLease, sqlx::Error>;
    fn put_back(&self, lease: OperationsLease);
}

#[async_trait]
impl Leases for OperationsConnections {
    async fn take(&self) -> Result<OperationsLease, sqlx::Error> {
        self.lease().await
    }

    fn put_back(&self, lease: OperationsLease) {
        lease.give_back();
    }
}

/// The lease of a transaction; none once a statement of it failed or was given up.
pub(crate) struct Open(Mutex<Option<OperationsLease>>);

#[async_trait]
impl Leases for Open {
    async fn take(&self) -> Result<OperationsLease, sqlx::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(sqlx::Error::PoolClosed)
    }

    fn put_back(&self, lease: OperationsLease) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
    }
}

/// What sea-orm runs statements on.
#[derive(Clone)]
pub(crate) struct On<L>(L);

/// A tenant's operations connections.
pub(crate) type Connections = On<OperationsConnections>;

/// A transaction that is open until it is committed, rolled back or dropped.
pub(crate) type Transaction = On<Open>;

impl Connections {
    pub(crate) const fn new(connections: OperationsConnections) -> Self {
        Self(connections)
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, DbErr> {
        let mut lease = self.0.lease().await.map_err(failed)?;
        control(&mut lease, "BEGIN").await.map_err(failed)?;
        Ok(On(Open(Mutex::new(Some(lease)))))
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        self.end("COMMIT").await.map_err(failed)
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.end("ROLLBACK").await.map_err(failed)
    }

    async fn end(self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut lease = self.0.take().await?;
        control(&mut lease, sql).await?;
        lease.give_back();
        Ok(())
    }
}

/// Runs a statement that begins or ends a transaction.
async fn control(lease: &mut OperationsLease, sql: &'static str) -> Result<(), sqlx::Error> {
    limited(sqlx::raw_sql(sql).execute(lease.connection()?)).await.map(|_| ())
}

async fn limited<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(STATEMENT_LIMIT, work)
        .await
        .map_err(|_| sqlx::Error::Io(io::ErrorKind::TimedOut.into()))?
}

fn prepared(statement: Statement) -> Query<'static, Postgres, SqlxValues> {
    let values = SqlxValues(statement.values.unwrap_or_else(|| Values(Vec::new())));
    sqlx::query_with(AssertSqlSafe(statement.sql), values)
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

impl<L: Leases> On<L> {
    async fn execute(&self, statement: Statement) -> Result<PgQueryResult, sqlx::Error> {
        let mut lease = self.0.take().await?;
        let done = limited(prepared(statement).execute(lease.connection()?)).await?;
        self.0.put_back(lease);
        Ok(done)
    }

    async fn rows(&self, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut lease = self.0.take().await?;
        let rows = limited(prepared(statement).fetch_all(lease.connection()?)).await?;
        self.0.put_back(lease);
        Ok(rows)
    }
}

#[async_trait]
impl<L: Leases> ConnectionTrait for On<L> {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.execute(statement).await.map(ExecResult::from).map_err(failed)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(DbBackend::Postgres, sql)).await
    }

    /// sea-orm limits what it asks for one row of to one row.
    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.rows(statement).await.map_err(failed)?;
        Ok(rows.into_iter().next().map(QueryResult::from))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let rows = self.rows(statement).await.map_err(failed)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}
