//! Private PostgreSQL and Redis processes for `carekeep dev` and for tests.
//!
//! Purpose: a real database and a real cache that belong to one process, need no configuration and never touch the
//! system's own servers. Invariants:
//!
//! - **Nothing outlives its parent.** Every server is told by the kernel when the process that started it ends, even
//!   by `kill -9`, and dropping a handle ends the server.
//! - **No open door.** Unix sockets with mode 0700 (a loopback port only when asked for), SCRAM passwords for every
//!   role and every way in; there is no `trust`.
//! - **No patient data in server logs.** Statements, parameters, row values in errors and details stay out of the log.
//!
//! ```no_run
//! # async fn example() -> Result<(), carekeep_devservers::ServerError> {
//! use carekeep_devservers::{Postgres, PostgresOptions, Scratch};
//! let scratch = Scratch::new()?;
//! let mut postgres = Postgres::start(PostgresOptions::for_tests(scratch.path().join("pg"))).await?;
//! let url = postgres.superuser_url("postgres");
//! # let _ = url;
//! postgres.stop().await;
//! # Ok(()) }
//! ```

mod account;
mod cache;
mod error;
mod files;
mod postgres;
mod process;
mod programs;
mod redis;
mod scratch;
mod secret;

pub use crate::cache::cache_dir;
pub use crate::error::ServerError;
pub use crate::postgres::{Postgres, PostgresOptions};
pub use crate::redis::{Redis, RedisOptions};
pub use crate::scratch::Scratch;
