//! A client of the public API, as a program would write one: for demo people, for importing and for the bench.

use std::{net::SocketAddr, time::Duration};

use axum::body::Bytes;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::error::Failure;

/// The longest wait for a limit before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a bundle is tried while the answer is to wait.
const TRIES: u32 = 20;

/// Talks to one tenant, signed in or not.
#[derive(Clone)]
pub struct TenantClient {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// Where a tenant is, and which certificate authority to trust for it.
pub struct Target<'a> {
    /// Base address, such as `https://riverside.localhost:8443`.
    pub base: &'a str,
    /// The host name in it.
    pub host: &'a str,
    /// Where the host is reached, if not by DNS.
    pub address: Option<SocketAddr>,
    /// PEM of an authority to trust besides the system's.
    pub authority: Option<&'a [u8]>,
}

impl TenantClient {
    /// A client that is not signed in.
    ///
    /// # Errors
    /// [`Failure::Client`] for a certificate that cannot be read.
    pub fn new(target: &Target<'_>) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(300));
        if let Some(authority) = target.authority {
            builder = builder.tls_certs_only([Certificate::from_pem(authority)?]);
        }
        if let Some(address) = target.address {
            builder = builder.resolve(target.host, address);
        }
        Ok(Self { http: builder.build()?, base: target.base.to_owned(), token: None })
    }

    /// The session token, once there is one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request =
            self.http.request(method, format!("{}{path}", self.base)).header("carekeep-token", "body");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a body and gives the answer's; a token in the answer is used from then on.
    ///
    /// # Errors
    /// [`Failure`] with the server's own words when it refuses.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.send(self.request(Method::POST, path).json(body)).await?;
        if let Some(token) = answer.get("token").and_then(Value::as_str)
            && token.starts_with("cks_")
        {
            self.token = Some(token.to_owned());
        }
        Ok(answer)
    }

    /// As [`TenantClient::post`], by `PUT` and without a body.
    ///
    /// # Errors
    /// As [`TenantClient::post`].
    pub async fn put(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::PUT, path)).await
    }

    /// Reads.
    ///
    /// # Errors
    /// As [`TenantClient::post`].
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Reads the bytes as they come.
    ///
    /// # Errors
    /// As [`TenantClient::post`].
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let response = self.request(Method::GET, path).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        if status.is_success() { Ok(body.to_vec()) } else { Err(refused(status, path, &Value::Null)) }
    }

    /// The same session at another process.
    #[must_use]
    pub fn with_session_of(mut self, other: &Self) -> Self {
        self.token.clone_from(&other.token);
        self
    }

    /// Sends a FHIR bundle, and waits where the limits say so: every entry counts as a request. Entries of types that are not
    /// served are named in the answer.
    ///
    /// # Errors
    /// As [`TenantClient::post`].
    pub async fn bundle(&self, body: Vec<u8>) -> Result<Value, Failure> {
        let body = Bytes::from(body);
        let request = || {
            self.request(Method::POST, "/fhir/R4")
                .header("content-type", "application/fhir+json")
                .header("prefer", "handling=lenient")
                .body(body.clone())
        };
        for _ in 1..TRIES {
            let response = request().send().await?;
            let Some(wait) = told_to_wait(&response) else { return answer(response).await };
            tokio::time::sleep(wait).await;
        }
        self.send(request()).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        answer(request.send().await?).await
    }
}

/// How long to wait before the same is asked again, if that is the answer.
fn told_to_wait(response: &Response) -> Option<Duration> {
    let said = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    (response.status() == StatusCode::TOO_MANY_REQUESTS).then(|| Duration::from_secs(said).min(LONGEST_WAIT))
}

async fn answer(response: Response) -> Result<Value, Failure> {
    let (status, path) = (response.status(), response.url().path().to_owned());
    let body = response.bytes().await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if status.is_success() { Ok(answer) } else { Err(refused(status, &path, &answer)) }
}

fn refused(status: StatusCode, path: &str, answer: &Value) -> Failure {
    let said = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let words = format!("{} {} {}", said("/detail"), said("/advice"), said("/issue/0/diagnostics"));
    Failure::message(format!("{path} answered {status}: {}", words.trim()))
}
