//! A client that sees statuses and headers, for tests of refusals; and what people do with it.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use reqwest::{Certificate, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::installation::{code, next_code};

pub(crate) const PASSWORD: &str = "pelican tangerine ledger";
pub(crate) const FHIR: &str = "application/fhir+json";

/// One tenant of a gateway, signed in or not.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    pub(crate) token: Option<String>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// `Type/id` of what was created, from its `Location`.
    pub(crate) fn created(&self) -> Option<String> {
        let parts: Vec<&str> = self.header("location").rsplit('/').collect();
        (self.status == 201 && parts.len() > 4).then(|| format!("{}/{}", parts[3], parts[2]))
    }

    /// What a refusal says is wrong and what to do, in either of the two shapes; empty if it says nothing of the kind.
    pub(crate) fn advice(&self) -> String {
        let body = self.json();
        let texts = match self.header("content-type").split(';').next().unwrap_or_default() {
            "application/problem+json" => vec![body.get("detail"), body.get("advice"), body.get("reason")],
            FHIR if body["resourceType"] == "OperationOutcome" => vec![body.pointer("/issue/0/diagnostics")],
            _ => Vec::new(),
        };
        let texts: Vec<&str> = texts.into_iter().flatten().filter_map(Value::as_str).collect();
        texts.join(" ")
    }
}

impl Http {
    /// A client of `https://<slug>.localhost:<port>` that trusts the authority in the file.
    pub(crate) fn new(slug: &str, port: u16, authority: &Path) -> Self {
        let authority = Certificate::from_pem(&std::fs::read(authority).unwrap()).unwrap();
        let host = format!("{slug}.localhost");
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .resolve(&host, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self { client, base: format!("https://{host}:{port}"), token: None }
    }

    pub(crate) fn with_token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(str::to_owned);
        self
    }

    /// A request with the session, if there is one.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request =
            self.client.request(method, format!("{}{path}", self.base)).header("carekeep-token", "body");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).json(body)).await.unwrap()
    }

    pub(crate) async fn post_fhir(&self, path: &str, body: &[u8]) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", FHIR).body(body.to_vec());
        answer(request).await.unwrap()
    }

    /// All observations of a patient as `id value-of-the-first-identifier`.
    pub(crate) async fn observations(&self, patient: &str) -> HashSet<String> {
        let mut found = HashSet::new();
        let mut path = format!("/fhir/R4/Observation?patient={patient}&_count=200");
        loop {
            let page = self.get(&path).await.expect(200);
            for entry in page["entry"].as_array().into_iter().flatten() {
                let resource = &entry["resource"];
                let key = resource["identifier"][0]["value"].as_str().unwrap();
                assert!(found.insert(format!("{} {key}", resource["id"].as_str().unwrap())));
            }
            let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
            match next.map(|link| link["url"].as_str().unwrap().split_once("/fhir").unwrap().1) {
                Some(rest) => path = format!("/fhir{rest}"),
                None => return found,
            }
        }
    }

    /// One step of signing in or enrolling; the session goes on under the token in the answer.
    pub(crate) async fn step(&mut self, path: &str, body: Value) -> Value {
        let said = self.post(path, &body).await.expect(200);
        if let Some(token) = said["token"].as_str() {
            self.token = Some(token.to_owned());
        }
        said
    }

    /// What somebody does with an invitation; gives the secret of their code generator.
    pub(crate) async fn join(&mut self, invitation: &str) -> String {
        self.step("/api/v1/invites/accept", json!({ "token": invitation })).await;
        self.step("/api/v1/enrol/password", json!({ "password": PASSWORD })).await;
        let setup = self.step("/api/v1/enrol/totp/begin", json!({})).await;
        let secret = setup["secret"].as_str().unwrap().to_owned();
        let done = self.step("/api/v1/enrol/totp/confirm", json!({ "code": code(&secret) })).await;
        assert_eq!(done["next"], "done", "{done}");
        secret
    }

    /// Signs in by password and code. A code works once per half minute, so a used one is waited out.
    pub(crate) async fn sign_in(&mut self, login: &str, secret: &str) {
        self.step("/api/v1/sign-in/password", json!({"login": login, "password": PASSWORD})).await;
        for _ in 0..3 {
            let said = self.post("/api/v1/sign-in/totp", &json!({ "code": code(secret) })).await;
            if said.status == 200 {
                self.token = said.json()["token"].as_str().map(str::to_owned);
                return;
            }
            assert_eq!(said.status, 401, "{}", said.text());
            next_code().await;
        }
        panic!("no code was accepted");
    }

    /// Has an administrator invite somebody, who joins.
    pub(crate) async fn invite(&self, login: &str, role: &str) -> Self {
        let body = json!({"login": login, "name": format!("Name of {login}"), "roles": [role]});
        let invited = self.post("/api/v1/people", &body).await.expect(201);
        let mut newcomer = Self { token: None, ..self.clone() };
        newcomer.join(invited["token"].as_str().unwrap()).await;
        newcomer
    }
}

/// Sends a request; `Err` only when there was no answer at all.
pub(crate) async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, bytes: response.bytes().await?.to_vec() })
}
