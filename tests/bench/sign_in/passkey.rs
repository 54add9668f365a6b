//! Signing in by passkey over HTTP, as a browser does, on a connection that is open.

use std::time::Instant;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use crate::{
    Gateway,
    authenticator::{Ceremony, SoftKey, UP, UV},
    print,
};

/// Sign-ins before those that count.
const WARM_UP: usize = 50;

struct Browser {
    http: Client,
    base: String,
    device: Option<String>,
}

impl Browser {
    fn new(gateway: &Gateway) -> Self {
        let authority = Certificate::from_pem(&std::fs::read(&gateway.authority).unwrap()).unwrap();
        let http = Client::builder()
            .tls_certs_only([authority])
            .resolve(&gateway.host, gateway.address)
            .build()
            .unwrap();
        let base = format!("https://{}:{}", gateway.host, gateway.address.port());
        Self { http, base, device: None }
    }

    async fn ask(&mut self, path: &str, token: Option<&str>, body: Option<&Value>) -> Value {
        let mut request = self.http.post(format!("{}{path}", self.base)).header("carekeep-token", "body");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(device) = &self.device {
            request = request.header("carekeep-device", device);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        if let Some(device) = answer["device"].as_str() {
            self.device = Some(device.to_owned());
        }
        answer
    }
}

/// Measures and prints.
pub(crate) async fn run(gateway: &Gateway) {
    let mut browser = Browser::new(gateway);
    let mut id = [0; 32];
    aws_lc_rs::rand::fill(&mut id).unwrap();
    let mut key = SoftKey::new(&id, &[]);
    let begun = browser.ask("/api/v1/enrol/passkey/begin", Some(&gateway.token), None).await;
    let challenge = serde_json::from_value(json!({"publicKey": begun["options"]})).unwrap();
    let mut ceremony = Ceremony::registration(&challenge, &browser.base);
    (ceremony.flags, ceremony.format) = (UP | UV, "none");
    let credential = ceremony.register(&key);
    let made = json!({"ceremony": begun["ceremony"], "credential": credential, "name": "bench"});
    let person = begun["options"]["user"]["id"].as_str().unwrap();
    key.handle = Some(data_encoding::BASE64URL_NOPAD.decode(person.as_bytes()).unwrap());
    browser.ask("/api/v1/enrol/passkey/finish", Some(&gateway.token), Some(&made)).await;

    let (mut begin, mut finish, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..WARM_UP + gateway.times {
        let started = Instant::now();
        let begun = browser.ask("/api/v1/sign-in/passkey/begin", None, None).await;
        let began = started.elapsed();
        let signed = sign(&key, &begun, &browser.base);
        let started = Instant::now();
        let step = browser.ask("/api/v1/sign-in/passkey/finish", None, Some(&signed)).await;
        let finished = started.elapsed();
        assert_eq!(step["next"], "done");
        if turn >= WARM_UP {
            begin.push(began);
            finish.push(finished);
            both.push(began + finished);
        }
    }
    for (name, took) in [("begin", begin), ("finish", finish), ("both", both)] {
        print(name, took, 1_000_000);
    }
}

fn sign(key: &SoftKey, begun: &Value, origin: &str) -> Value {
    let challenge = serde_json::from_value(json!({"publicKey": begun["options"]})).unwrap();
    let mut ceremony = Ceremony::authentication(&challenge, origin);
    ceremony.flags = UP | UV;
    json!({"ceremony": begun["ceremony"], "credential": ceremony.sign(key), "holder": begun["holder"]})
}
