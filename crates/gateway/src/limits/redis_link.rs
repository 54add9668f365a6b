//! The way to Redis: one multiplexed connection, made anew after any error.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, Script, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::LaneLimit;

/// Longest time to connect, and for a settlement to be answered.
const PATIENCE: Duration = Duration::from_millis(250);

/// Keys per call of the script: it runs alone in Redis, about 3 us per key.
const BATCH: usize = 500;

/// Redis did not answer in time or refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("Redis is out of reach: {0}; the stricter local limits apply until it is back")]
    Redis(#[from] RedisError),
    #[error("Redis took too long; the stricter local limits apply until it is back")]
    Slow,
}

pub(super) struct RedisLink {
    client: Client,
    script: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// One key's consumption.
pub(super) struct Consumed {
    pub(super) key: String,
    pub(super) limit: LaneLimit,
    pub(super) cost: u32,
}

impl RedisLink {
    pub(super) fn new(client: Client) -> Self {
        Self { client, script: Script::new(include_str!("gcra.lua")), connection: Mutex::new(None) }
    }

    /// Records consumption; gives how long each key is used up, in the same order. Connects if need be.
    pub(super) async fn settle(&self, consumed: &[Consumed]) -> Result<Vec<Duration>, LinkError> {
        let connection = self.connect().await?;
        let mut waits = Vec::with_capacity(consumed.len());
        for batch in consumed.chunks(BATCH) {
            waits.extend(self.run(connection.clone(), "settle", batch, PATIENCE).await?);
        }
        Ok(waits)
    }

    /// Whether Redis answers. Connects if need be.
    pub(super) async fn ping(&self) -> Result<(), LinkError> {
        let mut connection = self.connect().await?;
        let command = redis::cmd("PING");
        let answer = timeout(PATIENCE, command.query_async::<()>(&mut connection)).await;
        self.checked(answer.map_err(|_| LinkError::Slow).and_then(|answer| Ok(answer?)))
    }

    /// Takes one if it fits; otherwise gives how long to wait. Uses the connection that is there.
    pub(super) async fn take_one(
        &self,
        key: &str,
        limit: LaneLimit,
        patience: Duration,
    ) -> Result<Option<Duration>, LinkError> {
        let connection = self.current().ok_or(LinkError::Slow)?;
        let batch = [Consumed { key: key.to_owned(), limit, cost: 1 }];
        let waits = self.run(connection, "take", &batch, patience).await?;
        Ok(waits.first().copied().filter(|wait| !wait.is_zero()))
    }

    async fn run(
        &self,
        mut connection: MultiplexedConnection,
        mode: &str,
        batch: &[Consumed],
        patience: Duration,
    ) -> Result<Vec<Duration>, LinkError> {
        let mut call = self.script.prepare_invoke();
        call.arg(mode);
        for item in batch {
            call.key(&item.key);
            call.arg(micros(item.limit.interval())).arg(micros(item.limit.window)).arg(item.cost);
        }
        let answer = timeout(patience, call.invoke_async::<Vec<u64>>(&mut connection)).await;
        let waits = self.checked(answer.map_err(|_| LinkError::Slow).and_then(|answer| Ok(answer?)))?;
        Ok(waits.into_iter().map(Duration::from_micros).collect())
    }

    fn current(&self) -> Option<MultiplexedConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    async fn connect(&self) -> Result<MultiplexedConnection, LinkError> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout(PATIENCE * 2, connect).await.map_err(|_| LinkError::Slow)??;
        self.replace(Some(connection.clone()));
        Ok(connection)
    }

    /// After an error the connection is not trusted again.
    fn checked<T>(&self, result: Result<T, LinkError>) -> Result<T, LinkError> {
        if result.is_err() {
            self.replace(None);
        }
        result
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
