//! A cell as an operator runs it: a database server and a Redis that are the test's own to kill, one configuration file,
//! `carekeep serve`, and tenants made by the control API.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use carekeep::config::{Config, DatabaseConfig, KeysConfig, TlsSource};
use carekeep_devservers::{Postgres, PostgresOptions, Redis, RedisOptions, Scratch};
use carekeep_kernel::{OsRandom, Profile, random};
use carekeep_tenancy::PlatformPasswords;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

use crate::{
    gateway::Gateway,
    http::{Answer, Http, answer},
    installation::CAREKEEP,
};

/// A cell with no tenant yet.
pub(crate) struct Cell {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    pub(crate) config: Config,
    token: String,
    scratch: Scratch,
}

impl Cell {
    pub(crate) async fn start() -> Self {
        let scratch = Scratch::new().unwrap();
        let state = scratch.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let postgres = Postgres::start(PostgresOptions::for_tests(state.join("postgres"))).await.unwrap();
        let redis = Redis::start(RedisOptions::for_tests(state.join("redis"))).await.unwrap();
        let passwords = PlatformPasswords { gateway: secret(), provisioner: secret() };
        let options = PgConnectOptions::new_without_pgpass()
            .socket(postgres.socket_dir())
            .port(postgres.port())
            .username(postgres.superuser())
            .password(postgres.superuser_password())
            .database("postgres");
        carekeep_tenancy::prepare(&options, &passwords).await.unwrap();
        let token = secret();
        let config = configuration(&state, &postgres, &redis, (&passwords, &token));
        let cell = Self { postgres, redis, config, token, scratch };
        cell.write(&cell.config, "carekeep.toml");
        cell
    }

    /// A folder that goes away with the cell.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join("state").join(name)
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path("carekeep.toml")
    }

    /// Writes a configuration beside the first one.
    pub(crate) fn write(&self, config: &Config, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, toml::to_string(config).unwrap()).unwrap();
        path
    }

    /// A gateway of this cell. Credentials for a key service that wants some.
    pub(crate) fn gateway(&self) -> Gateway {
        let credentials = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        Gateway::start_with(&self.config_file(), &credentials)
    }

    /// A tenant's people at a gateway.
    pub(crate) fn client(&self, gateway: &Gateway, slug: &str) -> Http {
        Http::new(slug, gateway.port, &self.path("tls/dev-ca.pem"))
    }

    /// Asks the control API with its token; `Err` when there was no answer.
    pub(crate) async fn control(
        &self,
        gateway: &Gateway,
        body: Option<&Value>,
        path: &str,
    ) -> Result<Answer, reqwest::Error> {
        control(gateway, Some(&self.token), (body, path)).await
    }

    pub(crate) fn control_token(&self) -> &str {
        &self.token
    }

    /// Makes a tenant by one call and gives its administrator, who has joined.
    pub(crate) async fn tenant(&self, gateway: &Gateway, slug: &str) -> Http {
        let made = self.control(gateway, Some(&tenant(slug)), "/control/tenants").await.unwrap().expect(201);
        let mut admin = self.client(gateway, slug);
        admin.join(invitation(&made)).await;
        admin
    }

    /// Runs another command of the binary on this cell.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(CAREKEEP).args(arguments).output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// What the control API takes to make a tenant.
pub(crate) fn tenant(slug: &str) -> Value {
    json!({
        "partner": {"slug": "northstar", "name": "Northstar Health"},
        "slug": slug, "name": format!("Clinic {slug}"), "region": "eu-1", "hosts": [format!("{slug}.localhost")],
        "admin": {"login": "ada.admin", "name": "Ada Novak"},
    })
}

/// The token in the administrator's link.
pub(crate) fn invitation(made: &Value) -> &str {
    made["admin"]["link"].as_str().unwrap().split_once('#').unwrap().1
}

/// Asks the control API; a body makes it a POST.
pub(crate) async fn control(
    gateway: &Gateway,
    token: Option<&str>,
    (body, path): (Option<&Value>, &str),
) -> Result<Answer, reqwest::Error> {
    let (client, url) = (reqwest::Client::new(), format!("{}{path}", gateway.internal));
    let request = match body {
        Some(body) => client.post(url).json(body),
        None => client.get(url),
    };
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

fn secret() -> String {
    HEXLOWER.encode(&random::bytes::<32>(&OsRandom))
}

/// Writes a secret as operators must: nobody else may read it.
fn keep(path: PathBuf, text: &str) -> PathBuf {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

fn configuration(
    state: &Path,
    postgres: &Postgres,
    redis: &Redis,
    (passwords, token): (&PlatformPasswords, &str),
) -> Config {
    let database = DatabaseConfig {
        host: postgres.socket_dir().to_string_lossy().into_owned(),
        port: postgres.port(),
        tls: false,
    };
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config {
        profile: Profile::Dev,
        listen: loopback,
        internal: loopback,
        public_ports: Vec::new(),
        directory: database.clone(),
        operations: database.clone(),
        clinical: database,
        gateway_password_file: keep(state.join("gateway-password"), &passwords.gateway),
        provisioner_password_file: Some(keep(state.join("provisioner-password"), &passwords.provisioner)),
        control_token_file: Some(keep(state.join("control-token"), token)),
        limiter_secret_file: keep(state.join("limiter-secret"), &secret()),
        tenant_connections: carekeep_vault::PoolLimits::default().total,
        keys: KeysConfig::Local { directory: state.join("keys") },
        redis: Some(redis.url()),
        tls: TlsSource::Dev { directory: state.join("tls") },
        limit_factor: 1,
        identity_providers: None,
        otlp_endpoint: None,
    }
}
