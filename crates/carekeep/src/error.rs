//! What a command can fail with. The text goes to a person at a terminal.

/// A command's failure. Says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Control plane.
    #[error(transparent)]
    Tenancy(#[from] carekeep_tenancy::TenancyError),
    /// Key service.
    #[error(transparent)]
    Keys(#[from] carekeep_keys::KeyError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] carekeep_vault::AccessError),
    /// Policies.
    #[error(transparent)]
    Policy(#[from] carekeep_policy::PolicyError),
    /// A private server.
    #[error(transparent)]
    Server(#[from] carekeep_devservers::ServerError),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] carekeep_gateway::edge::BindError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] carekeep_gateway::edge::TlsError),
    /// Telemetry.
    #[error(transparent)]
    Telemetry(#[from] carekeep_gateway::telemetry::TelemetryError),
    /// Redis.
    #[error("the Redis address is not usable: {0}; write it like redis://host:6379")]
    Redis(#[from] redis::RedisError),
    /// HTTP, as a client.
    #[error("a request to the server failed: {0}; check that it runs")]
    Client(#[from] reqwest::Error),
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Anything that needs a sentence of its own.
    #[error("{0}")]
    Message(String),
}

impl Failure {
    /// A sentence.
    pub fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// About a file.
    pub fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::File { path, error }
    }
}
