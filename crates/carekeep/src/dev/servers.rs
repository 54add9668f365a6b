//! The private servers and secrets of a development installation.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use carekeep_devservers::{Postgres, PostgresOptions, Redis, RedisOptions};
use carekeep_kernel::{OsRandom, random};
use carekeep_tenancy::PlatformPasswords;
use data_encoding::HEXLOWER;
use sqlx::postgres::PgConnectOptions;

use super::demo;
use crate::{cli::say, config::secret, error::Failure};

/// A private PostgreSQL, a private Redis, and the secrets that were made for them.
pub(super) struct Servers {
    pub(super) postgres: Postgres,
    pub(super) redis: Redis,
    pub(super) secrets: Secrets,
}

impl Servers {
    pub(super) async fn start(state: &Path) -> Result<Self, Failure> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(Failure::file(state))?;
        let state = state.canonicalize().map_err(Failure::file(state))?;
        let secrets = Secrets::open(&state.join("secrets"))?;
        let mut postgres = Postgres::start(PostgresOptions::durable(state.join("postgres"))).await?;
        if demo::is_half_made(&state) {
            say("the first start did not get to its end: starting over ...");
            postgres.stop().await;
            let folder = state.join("postgres");
            fs::remove_dir_all(&folder).map_err(Failure::file(&folder))?;
            postgres = Postgres::start(PostgresOptions::durable(folder)).await?;
        }
        let redis = Redis::start(RedisOptions::for_tests(state.join("redis"))).await?;
        let options = PgConnectOptions::new_without_pgpass()
            .socket(postgres.socket_dir())
            .port(postgres.port())
            .username(postgres.superuser())
            .password(postgres.superuser_password())
            .database("postgres");
        let passwords = PlatformPasswords {
            gateway: secret(&secrets.file("gateway-password"))?,
            provisioner: secret(&secrets.file("provisioner-password"))?,
        };
        carekeep_tenancy::prepare(&options, &passwords).await?;
        Ok(Self { postgres, redis, secrets })
    }

    pub(super) async fn stop(&mut self) {
        self.redis.stop().await;
        self.postgres.stop().await;
    }
}

/// Secrets in files that only their owner may read; each is made once.
pub(super) struct Secrets(PathBuf);

const NAMES: [&str; 4] = ["gateway-password", "provisioner-password", "control-token", "limiter-secret"];

impl Secrets {
    fn open(directory: &Path) -> Result<Self, Failure> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(Failure::file(directory))?;
        let secrets = Self(directory.to_owned());
        for name in NAMES {
            let path = secrets.file(name);
            if !path.exists() {
                write_private(&path, &HEXLOWER.encode(&random::bytes::<32>(&OsRandom)))?;
            }
        }
        Ok(secrets)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::file(path)(error);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
