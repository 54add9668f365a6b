//! A clinic with an app, for the tests of apps.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, Member, Program};

pub(crate) const REDIRECT: &str = "https://app.example/cb";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A clinic with a doctor who cares for two patients, and an app.
pub(crate) struct Ward {
    pub(crate) clinic: Clinic,
    pub(crate) admin: Member,
    pub(crate) doctor: Member,
    pub(crate) own: String,
    pub(crate) other: String,
    pub(crate) client: String,
}

pub(crate) async fn created(program: &mut Program, kind: &str, mut resource: Value) -> String {
    resource["resourceType"] = kind.into();
    let made = program.post(&format!("/fhir/R4/{kind}"), &resource).await.expect(StatusCode::CREATED);
    made["id"].as_str().unwrap().to_owned()
}

/// A patient with one condition; the condition's id.
pub(crate) async fn chart(program: &mut Program, family: &str) -> (String, String) {
    let patient = created(program, "Patient", json!({"name": [{"family": family}]})).await;
    let subject = json!({"reference": format!("Patient/{patient}")});
    let condition = created(program, "Condition", json!({"subject": subject, "code": {"text": "x"}})).await;
    (patient, condition)
}

pub(crate) fn registration(scope: &str) -> Value {
    json!({
        "client_name": "Growth Chart", "token_endpoint_auth_method": "none", "redirect_uris": [REDIRECT],
        "scope": scope,
    })
}

/// Of them, what can be kept: no resource stands for the doctor yet.
pub(crate) const GRANTED: &str = "launch/patient patient/*.rs openid offline_access";
pub(crate) const SCOPES: &str = "launch/patient patient/*.rs openid fhirUser offline_access";

impl Ward {
    pub(crate) async fn open() -> Self {
        Self::open_with(&registration(SCOPES)).await
    }

    /// With an app that is registered so.
    pub(crate) async fn open_with(app: &Value) -> Self {
        let clinic = Clinic::open().await;
        let mut admin = clinic.admin().await;
        let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
        let (own, _) = chart(&mut doctor.program, "Own").await;
        let (other, _) = chart(&mut doctor.program, "Other").await;
        let registered = admin.program.post("/api/v1/apps", app).await.expect(StatusCode::CREATED);
        assert_eq!((&registered["state"], registered.get("client_secret")), (&json!("pending"), None));
        let client = registered["client_id"].as_str().unwrap().to_owned();
        Self { clinic, admin, doctor, own, other, client }
    }

    pub(crate) async fn approve(&mut self) {
        let path = format!("/api/v1/apps/{}/approve", self.client);
        self.admin.program.post(&path, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    }

    /// The query of an authorization request, with some of it changed.
    pub(crate) fn query(&self, changes: &[(&str, &str)]) -> String {
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, VERIFIER.as_bytes()).as_ref());
        let aud = format!("{}/fhir/R4", self.clinic.origin("acme"));
        let mut all = vec![
            ("response_type", "code"),
            ("client_id", &self.client),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPES),
            ("state", "s1"),
            ("aud", &aud),
            ("nonce", "n1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            all.retain(|(known, _)| known != name);
            if !value.is_empty() {
                all.push((name, value));
            }
        }
        url_query(&all)
    }

    pub(crate) async fn authorize(&self, query: &str) -> Answer {
        self.clinic.program("acme").get(&format!("/oauth/authorize?{query}")).await
    }

    pub(crate) async fn decide(&mut self, query: &str, more: Value) -> Answer {
        let mut body = json!({"request": query, "allow": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.doctor.program.post("/api/v1/consent", &body).await
    }

    /// A code for the doctor's own choice of patient.
    pub(crate) async fn code(&mut self) -> String {
        let query = self.query(&[]);
        let patient = self.own.clone();
        let given = self.decide(&query, json!({"patient": patient})).await.expect(StatusCode::OK);
        parameter(given["redirect_to"].as_str().unwrap(), "code").unwrap()
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        form(&self.clinic, path, fields).await
    }

    pub(crate) async fn exchange(&self, code: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_id", &self.client),
        ];
        self.form("/oauth/token", &fields).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.client)];
        self.form("/oauth/token", &fields).await
    }

    pub(crate) fn app(&self, token: &Value) -> Program {
        let mut program = self.clinic.program("acme");
        program.token = Some(token["access_token"].as_str().unwrap().to_owned());
        program
    }
}

pub(crate) fn url_query(pairs: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("https://x.example").unwrap();
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap().to_owned()
}

pub(crate) fn parameter(address: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(address).unwrap();
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

pub(crate) async fn form(clinic: &Clinic, path: &str, fields: &[(&str, &str)]) -> Answer {
    let program = clinic.program("acme");
    let request = program.http.post(format!("{}{path}", program.base));
    let kind = "application/x-www-form-urlencoded";
    Answer::of(request.header("content-type", kind).body(url_query(fields))).await
}
