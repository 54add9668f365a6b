//! How the routes of apps and of OAuth are called, each with an app that is made for it.

use carekeep_testkit::AppSpec;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    cast::Credential,
    stage::{Body, Call, Stage},
};

/// Each route of apps with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("apps.list", &[""]),
    ("apps.register", &[""]),
    ("apps.approve", &[""]),
    ("apps.disable", &[""]),
    ("apps.remove", &[""]),
    ("launch.list", &[""]),
    ("launch.open", &[""]),
    ("app_grants.list", &[""]),
    ("app_grants.withdraw", &[""]),
    ("consent.asked", &[""]),
    ("consent.decide", &["yes", "no"]),
    ("oauth.smart_configuration", &[""]),
    ("oauth.smart_configuration_fhir", &[""]),
    ("oauth.openid_configuration", &[""]),
    ("oauth.jwks", &[""]),
    ("oauth.authorize", &[""]),
    ("oauth.token", &[""]),
    ("oauth.revoke", &[""]),
    ("oauth.introspect", &[""]),
];

const REDIRECT: &str = "https://app.example/cb";
// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An app of acme that the administrator has approved.
pub(super) struct App<'a> {
    stage: &'a Stage,
    client: String,
}

pub(super) fn registration() -> Value {
    json!({
        "client_name": "Growth Chart", "token_endpoint_auth_method": "none", "redirect_uris": [REDIRECT],
        "scope": "patient/*.rs openid",
    })
}

impl<'a> App<'a> {
    pub(super) async fn registered(stage: &'a Stage) -> Self {
        let made = stage.done(&stage.boss, Call::post("/api/v1/apps", registration())).await;
        Self { stage, client: made["client_id"].as_str().unwrap().to_owned() }
    }

    async fn approved(stage: &'a Stage) -> Self {
        Self::registered(stage).await.approve().await
    }

    /// One that can be opened from a chart.
    pub(super) async fn launchable(stage: &'a Stage) -> Self {
        let mut launchable = registration();
        launchable["scope"] = "launch patient/*.rs".into();
        launchable["initiate_login_uri"] = "https://app.example/launch".into();
        let made = stage.done(&stage.boss, Call::post("/api/v1/apps", launchable)).await;
        Self { stage, client: made["client_id"].as_str().unwrap().to_owned() }.approve().await
    }

    async fn approve(self) -> Self {
        self.stage.done(&self.stage.boss, Call::post(self.at("/approve"), Value::Null)).await;
        self
    }

    /// Opens it from a chart.
    pub(super) fn open(&self, patient: &str, encounter: &str) -> Call {
        Call::post(self.at("/launch"), json!({"patient": patient, "encounter": encounter}))
    }

    fn at(&self, what: &str) -> String {
        format!("/api/v1/apps/{}{what}", self.client)
    }

    /// The query of an authorization request.
    fn query(&self) -> String {
        let mut url = reqwest::Url::parse("https://x.example").unwrap();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client),
            ("redirect_uri", REDIRECT),
            ("scope", "patient/*.rs openid"),
            ("state", "s"),
            ("aud", &format!("{}/fhir/R4", self.stage.clinic.origin("acme"))),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        url.query().unwrap().to_owned()
    }

    fn decision(&self, allow: bool) -> Call {
        let patient = self.stage.own.id("Patient");
        let body = json!({"request": self.query(), "allow": allow, "patient": patient});
        Call::post("/api/v1/consent", body)
    }

    /// A code that the scribe gave.
    async fn code(&self) -> String {
        let given = self.stage.done(&self.stage.scribe, self.decision(true)).await;
        let url = reqwest::Url::parse(given["redirect_to"].as_str().unwrap()).unwrap();
        url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    fn exchange(&self, code: &str) -> Call {
        let client = &self.client;
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={VERIFIER}&client_id={client}"
        );
        Call::new(Method::POST, "/oauth/token", Body::Form(form))
    }

    async fn about_a_token(&self, path: &str) -> Call {
        let call = self.exchange(&self.code().await);
        let token = self.stage.send(&Stage::nobody(), &call).await.body["access_token"].clone();
        let form = format!("token={}&client_id={}", token.as_str().unwrap(), self.client);
        Call::new(Method::POST, path, Body::Form(form))
    }
}

/// The request that this session makes, with what it needs made before.
pub(super) async fn call(stage: &Stage, name: &str, variant: &str, credential: &Credential) -> Call {
    match name {
        "apps.list" => Call::get("/api/v1/apps"),
        "apps.register" => Call::post("/api/v1/apps", registration()),
        "apps.approve" => Call::post(App::registered(stage).await.at("/approve"), Value::Null),
        "apps.disable" => Call::post(App::approved(stage).await.at("/disable"), Value::Null),
        "apps.remove" => Call::new(Method::DELETE, App::approved(stage).await.at(""), Body::None),
        "launch.list" => Call::get("/api/v1/launchable-apps"),
        "launch.open" => {
            App::launchable(stage).await.open(stage.own.id("Patient"), stage.own.id("Encounter"))
        }
        "app_grants.list" => Call::get("/api/v1/app-grants"),
        "app_grants.withdraw" => {
            let acme = stage.clinic.acme.id;
            let owner = credential.person.as_ref().filter(|person| person.tenant == acme);
            let owner = owner.unwrap_or_else(|| stage.scribe.person());
            let grant = stage.clinic.platform.app(owner, AppSpec::default()).await.grant;
            Call::new(Method::DELETE, format!("/api/v1/app-grants/{grant}"), Body::None)
        }
        "consent.asked" => Call::get(format!("/api/v1/consent?{}", App::approved(stage).await.query())),
        "consent.decide" => App::approved(stage).await.decision(variant == "yes"),
        "oauth.smart_configuration" => Call::get("/.well-known/smart-configuration"),
        "oauth.smart_configuration_fhir" => Call::get("/fhir/R4/.well-known/smart-configuration"),
        "oauth.openid_configuration" => Call::get("/.well-known/openid-configuration"),
        "oauth.jwks" => Call::get("/oauth/jwks"),
        "oauth.authorize" => Call::get(format!("/oauth/authorize?{}", App::approved(stage).await.query())),
        "oauth.token" => {
            let app = App::approved(stage).await;
            app.exchange(&app.code().await)
        }
        "oauth.revoke" => App::approved(stage).await.about_a_token("/oauth/revoke").await,
        "oauth.introspect" => App::approved(stage).await.about_a_token("/oauth/introspect").await,
        other => panic!("{other} has no request"),
    }
}
