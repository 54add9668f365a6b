//! A tenant's own identity provider: a process of its own, over TLS, with its own keys (`tests/clients/oidc_provider.py`).

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use carekeep_kernel::{Clock as _, ManualClock};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, Response, Url};
use serde_json::{Value, json};

/// What the provider calls the tenant.
pub(crate) const CLIENT: &str = "carekeep-acme";

/// An authority for the names of this machine, and a certificate by it for `localhost`.
pub(crate) struct ProviderAuthority {
    pub(crate) pem: String,
    chain: String,
    key: String,
}

impl ProviderAuthority {
    pub(crate) fn new() -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_key = KeyPair::generate().unwrap();
        let pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let chain = leaf.signed_by(&key, &issuer).unwrap().pem();
        Self { pem, chain, key: key.serialize_pem() }
    }
}

/// The provider, until it is dropped.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    http: Client,
    clock: Arc<ManualClock>,
    child: Child,
}

impl Provider {
    /// Starts it, with its files in a folder. It goes by the clock of the clinic.
    pub(crate) fn start(authority: &ProviderAuthority, folder: &Path, clock: Arc<ManualClock>) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("chain.pem"), &authority.chain).unwrap();
        std::fs::write(folder.join("key.pem"), &authority.key).unwrap();
        let venv = std::env::var("CAREKEEP_VENV")
            .unwrap_or_else(|_| panic!("CAREKEEP_VENV is not set: run the tests by ./dev test"));
        let mut child = Command::new(format!("{venv}/bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/oidc_provider.py"))
            .args([folder.to_str().unwrap(), CLIENT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut issuer = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut issuer).unwrap();
        let http = Client::builder()
            .tls_certs_only([Certificate::from_pem(authority.pem.as_bytes()).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { issuer: issuer.trim().to_owned(), http, clock, child }
    }

    /// Says whom it signs in and what it gets wrong from now on.
    pub(crate) async fn set(&self, told: Value) {
        self.tell("set", told.to_string()).await;
    }

    async fn tell(&self, what: &str, text: String) {
        let told = self.http.post(format!("{}/{what}", self.issuer)).body(text).send().await.unwrap();
        assert!(told.status().is_success());
    }

    /// Signs a subject in, with two factors.
    pub(crate) async fn knows(&self, subject: &str) {
        self.set(json!({"claims": {"sub": subject, "amr": ["pwd", "mfa"]}})).await;
    }

    /// Where the provider sends a browser on that comes with this address.
    pub(crate) async fn visit(&self, address: &str) -> Url {
        self.tell("now", (self.clock.now().as_micros() / 1_000_000).to_string()).await;
        let answer = self.http.get(address).send().await.unwrap();
        location(&answer)
    }

    /// How often a path was asked for.
    pub(crate) async fn asked(&self, path: &str) -> usize {
        let answer = self.http.get(format!("{}/asked", self.issuer)).send().await.unwrap();
        let asked: Vec<String> = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        asked.iter().filter(|one| *one == path).count()
    }

    /// Nobody answers there any more.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn location(answer: &Response) -> Url {
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}
