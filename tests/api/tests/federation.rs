//! I12: staff sign in by the tenant's own provider, and nobody else does.

mod under_way;

use std::time::Duration;

use carekeep_gateway::{
    api::identity::first_admin_invite,
    limits::{LaneLimit, LimiterConfig},
};
use carekeep_kernel::Clock as _;
use reqwest::{Client, Method, StatusCode, Url, header::HeaderMap};
use serde_json::{Value, json};

use crate::{
    passkey_rules::register,
    provider::{CLIENT, Provider},
    soft_keys::Key,
    support::{Clinic, Member, Program, settings},
};

const SETTINGS: &str = "/api/v1/settings/identity-provider";
const AGREE: &str = "/api/v1/settings/identity-provider/agree";
const SIGN_IN: &str = "/api/v1/settings/sign-in";
const OWN: &str = "/api/v1/federation";
/// Where a browser ends that is signed in with two factors: the page goes on to what was asked for.
const IN: &str = "/sign-in#in";
const NONE: Value = Value::Null;
const FRESH: Duration = Duration::from_secs(5 * 60);

/// Acme with its provider, whose `mfa` means two factors.
struct Scene {
    clinic: Clinic,
    provider: Provider,
    admin: Member,
    officer: Member,
}

impl Scene {
    async fn open() -> Self {
        Self::open_with(&rates()).await
    }

    async fn open_with(rates: &LimiterConfig) -> Self {
        let clinic = Clinic::open_with(rates).await;
        let provider = clinic.provider();
        let mut admin = clinic.admin().await;
        let officer = clinic.member(&mut admin, "privacy.officer", &["privacy_officer"]).await;
        introduce(&provider, &mut admin).await;
        let mut scene = Self { clinic, provider, admin, officer };
        scene.agree().await;
        scene
    }

    /// The privacy officer agrees to the provider as it is set.
    async fn agree(&mut self) {
        self.officer.program = self.clinic.sign_in(&self.officer).await;
        let set = self.officer.program.get(SETTINGS).await.expect(StatusCode::OK);
        let id = json!({"id": set["provider"]["id"]});
        self.officer.program.post(AGREE, &id).await.expect(StatusCode::NO_CONTENT);
    }

    /// Somebody of these roles who has linked themselves to the subject of their login name.
    async fn linked(&mut self, login: &str, roles: &[&str]) -> Member {
        let mut member = self.clinic.member(&mut self.admin, login, roles).await;
        self.provider.knows(login).await;
        let end = self.link(&mut member).await;
        assert_eq!(end, "/#linked");
        member
    }

    /// Links somebody to whom the provider knows; where their browser ends.
    async fn link(&self, member: &mut Member) -> String {
        link(Browser::of(&self.clinic), &self.provider, member).await
    }

    /// A browser that was sent to the provider and is on its way back.
    async fn on_the_way_back(&self) -> (Browser, Url) {
        let mut browser = Browser::of(&self.clinic);
        let away = browser.go("/federation/start").await;
        let back = self.provider.visit(&away).await;
        (browser, back)
    }

    /// Signs in by the provider; the browser, and where it ends.
    async fn sign_in(&self) -> (Browser, String) {
        let (mut browser, back) = self.on_the_way_back().await;
        let end = browser.follow(&back).await;
        (browser, end)
    }

    /// Where somebody ends whom the provider tells this of.
    async fn ends(&self, told: Value) -> String {
        self.provider.set(told).await;
        self.sign_in().await.1
    }

    async fn actions(&self) -> Vec<String> {
        self.clinic.entries().await.into_iter().map(|entry| entry.action).collect()
    }
}

/// Each test signs in more often than somebody at one address does.
fn rates() -> LimiterConfig {
    LimiterConfig {
        sign_in_address: LaneLimit::per_seconds(1_000, 60),
        sign_in_account: LaneLimit::per_seconds(1_000, 600),
        ..LimiterConfig::new([1; 32])
    }
}

/// Makes a provider and the tenant of an administrator known to each other.
async fn introduce(provider: &Provider, admin: &mut Member) {
    let settings =
        json!({"issuer": provider.issuer, "client_id": CLIENT, "label": "Acme account", "amr": ["mfa"]});
    put(admin, &settings).await;
    let keys = admin.program.get("/oauth/jwks").await.expect(StatusCode::OK);
    provider.set(json!({"jwks": keys})).await;
}

/// Links somebody in a browser of their tenant to whom the provider knows; where the browser ends.
async fn link(mut browser: Browser, provider: &Provider, member: &mut Member) -> String {
    browser.keep("__Host-carekeep", member.program.token.as_deref().unwrap());
    let begun = browser.send(Method::POST, OWN).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let body: Value = serde_json::from_str(&begun.text).unwrap();
    let back = provider.visit(body["redirect_to"].as_str().unwrap()).await;
    browser.follow(&back).await
}

async fn put(admin: &mut Member, settings: &Value) {
    admin.program.send(Method::PUT, SETTINGS, settings).await.expect(StatusCode::NO_CONTENT);
}

fn stopped(why: &str) -> String {
    format!("/sign-in-stopped?why={why}")
}

/// A browser at a tenant: it keeps cookies and follows nothing by itself.
struct Browser {
    http: Client,
    base: String,
    cookies: Vec<(String, String)>,
}

struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Browser {
    fn of(clinic: &Clinic) -> Self {
        Self::at(clinic, "acme")
    }

    fn at(clinic: &Clinic, slug: &str) -> Self {
        let http = clinic.http(&[slug]).build().unwrap();
        Self { http, base: clinic.origin(slug), cookies: Vec::new() }
    }

    fn keep(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.cookies.iter().any(|(known, _)| known == name)
    }

    async fn send(&mut self, method: Method, path: &str) -> Seen {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if method != Method::GET {
            request = request.header("sec-fetch-site", "same-origin").header("origin", &self.base);
        }
        let answer = request.send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let text = set.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            assert!(text.contains("; Path=/; Secure; HttpOnly; SameSite="), "{text}");
            self.keep(name, rest.split(';').next().unwrap());
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        Seen { status, headers, text: answer.text().await.unwrap() }
    }

    /// Where a page of the tenant sends the browser.
    async fn go(&mut self, path: &str) -> String {
        let seen = self.send(Method::GET, path).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{path}: {}", seen.text);
        seen.headers["location"].to_str().unwrap().to_owned()
    }

    /// Follows the provider back to the tenant.
    async fn follow(&mut self, back: &Url) -> String {
        assert!(back.as_str().starts_with(&format!("{}/federation/callback?", self.base)), "{back}");
        self.go(&format!("{}?{}", back.path(), back.query().unwrap())).await
    }

    /// Who it is signed in as, if it is.
    async fn me(&mut self) -> Option<Value> {
        let seen = self.send(Method::GET, "/api/v1/me").await;
        (seen.status == StatusCode::OK).then(|| serde_json::from_str(&seen.text).unwrap())
    }

    /// A program with the browser's session.
    fn program(&self, clinic: &Clinic) -> Program {
        let token =
            self.cookies.iter().find(|(name, _)| name == "__Host-carekeep").map(|(_, token)| token.clone());
        Program { token, ..clinic.program("acme") }
    }
}

#[tokio::test]
async fn i12_whoever_is_linked_signs_in_by_the_provider_with_two_factors_and_none_of_them_is_fresh() {
    let mut scene = Scene::open().await;
    let nurse = scene.linked("nurse.costa", &["nurse"]).await;
    let (mut browser, end) = scene.sign_in().await;
    assert_eq!(end, IN);
    let me = browser.me().await.unwrap();
    assert_eq!((&me["person"], &me["aal"]), (&json!(nurse.id), &json!(2)));
    assert!(!browser.has("__Host-carekeep-round"), "the round is forgotten");
    assert!(browser.has("__Host-carekeep-device"), "the device is recognised as by any other way in");
    let sessions = browser.send(Method::GET, "/api/v1/sessions").await.text;
    assert!(sessions.contains("\"factors\":[\"provider\"]"), "{sessions}");
    // Each is on record, before it works.
    let actions = scene.actions().await;
    assert_eq!(actions.iter().filter(|action| *action == "sign_in_by_provider").count(), 1);
    assert_eq!(actions.iter().filter(|action| *action == "link_provider").count(), 1);
    // What needs a fresh factor needs one of one's own.
    let mut program = browser.program(&scene.clinic);
    let refused = program.send(Method::DELETE, OWN, &NONE).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "fresh-factor-needed"));
    let code = scene.clinic.next_code(&nurse.secret);
    let step = program.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
    program.token = Some(step["token"].as_str().unwrap().to_owned());
    program.send(Method::DELETE, OWN, &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(scene.sign_in().await.1, stopped("nobody"), "unlinked");
    assert!(scene.actions().await.contains(&"unlink_provider".to_owned()));
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_what_the_tenant_did_not_list_is_one_factor_and_the_persons_own_is_the_second() {
    let mut scene = Scene::open().await;
    let nurse = scene.linked("nurse.costa", &["nurse"]).await;
    for claims in [
        json!({"sub": "nurse.costa"}),
        json!({"sub": "nurse.costa", "amr": ["pwd"]}),
        json!({"sub": "nurse.costa", "amr": ["MFA"], "acr": "mfa"}),
    ] {
        scene.provider.set(json!({"claims": claims})).await;
        let (mut browser, end) = scene.sign_in().await;
        assert_eq!(end, "/sign-in#second=totp", "{claims}");
        assert_eq!(browser.me().await, None, "half a sign-in opens nothing");
        let mut program = browser.program(&scene.clinic);
        assert_eq!(program.get("/api/v1/me").await.code(), "sign-in-unfinished");
        let code = scene.clinic.next_code(&nurse.secret);
        program.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
        assert_eq!(program.get("/api/v1/me").await.expect(StatusCode::OK)["aal"], 2);
    }
    // The control: one of the listed words.
    assert_eq!(scene.ends(json!({"claims": {"sub": "nurse.costa", "amr": ["x", "mfa"]}})).await, IN);
    // By acr, once it is listed; and what was begun by the provider before has ended.
    let (mut before, _) = scene.sign_in().await;
    let by_acr =
        json!({"issuer": scene.provider.issuer, "client_id": CLIENT, "label": "Acme", "acr": ["gold"]});
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    put(&mut scene.admin, &by_acr).await;
    // Other words than those that somebody agreed to: one factor, whatever it says, until somebody agrees to these.
    assert_eq!(
        scene.ends(json!({"claims": {"sub": "nurse.costa", "acr": "gold"}})).await,
        "/sign-in#second=totp"
    );
    scene.agree().await;
    before.program(&scene.clinic).within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    assert_eq!(before.me().await, None);
    assert_eq!(
        scene.ends(json!({"claims": {"sub": "nurse.costa", "amr": ["mfa"]}})).await,
        "/sign-in#second=totp"
    );
    assert_eq!(scene.ends(json!({"claims": {"sub": "nurse.costa", "acr": "gold"}})).await, IN);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_a_role_that_demands_more_of_passkeys_is_not_got_around_by_the_provider() {
    let mut scene = Scene::open().await;
    let mut nurse = scene.linked("nurse.costa", &["nurse"]).await;
    assert_eq!(scene.sign_in().await.1, IN);
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    let demand = settings(&json!({"passkeys": {"nurse": "device-bound"}}));
    scene.admin.program.send(Method::PUT, SIGN_IN, &demand).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(scene.sign_in().await.1, "/sign-in#second=totp");
    scene
        .admin
        .program
        .send(Method::PUT, SIGN_IN, &settings(&json!({})))
        .await
        .expect(StatusCode::NO_CONTENT);
    let (there, end) = scene.sign_in().await;
    assert_eq!(end, IN);
    // Whoever unlinks themselves ends what began there: somebody may have linked themselves in their place.
    nurse.program = scene.clinic.sign_in(&nurse).await;
    nurse.program.send(Method::DELETE, OWN, &NONE).await.expect(StatusCode::NO_CONTENT);
    there.program(&scene.clinic).within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    nurse.program.get("/api/v1/me").await.expect(StatusCode::OK);
    // Two of those who decide about the others set the provider: for them its word is one factor.
    scene.linked("officer", &["privacy_officer"]).await;
    assert_eq!(scene.sign_in().await.1, "/sign-in#second=totp");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_one_alone_does_not_decide_whose_two_factors_are_two_here() {
    let mut scene = Scene::open().await;
    scene.linked("nurse.costa", &["nurse"]).await;
    let mut second = scene.clinic.member(&mut scene.admin, "second", &["tenant_admin"]).await;
    let set = async |scene: &mut Scene, more: Value| {
        let mut said =
            json!({"issuer": scene.provider.issuer, "client_id": CLIENT, "label": "Acme", "amr": ["mfa"]});
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
        put(&mut scene.admin, &said).await;
        scene.provider.knows("nurse.costa").await;
        let end = scene.sign_in().await.1;
        let shown = scene.admin.program.get(SETTINGS).await.expect(StatusCode::OK)["provider"].clone();
        (end, json!({"id": shown["id"]}), shown)
    };
    let half = "/sign-in#second=totp";
    let (end, _, shown) = set(&mut scene, json!({})).await;
    assert_eq!((end.as_str(), &shown["agreed_by"]), (IN, &json!(scene.officer.id)), "as it was agreed to");
    // Fewer words, another label and a secret are nothing to agree to.
    assert_eq!(
        set(&mut scene, json!({"label": "New", "client_secret": "a secret of the provider"})).await.0,
        IN
    );
    for more in [
        json!({"amr": ["mfa", "pwd"]}),
        json!({"acr": ["0"]}),
        json!({"client_id": "another"}),
        json!({"subject_claim": "oid"}),
    ] {
        let (_, id, shown) = set(&mut scene, more.clone()).await;
        assert_eq!(shown["agreed_by"], NONE, "{more}");
        // Not by the one who set it, nor what nobody was shown.
        let own = scene.admin.program.post(AGREE, &id).await;
        assert_eq!((own.status, own.code()), (StatusCode::CONFLICT, "not-yours-to-decide"));
        let (_, anew, _) = set(&mut scene, more.clone()).await;
        second.program = scene.clinic.sign_in(&second).await;
        assert_eq!(second.program.post(AGREE, &id).await.code(), "not-yours-to-decide", "set anew since");
        second.program.post(AGREE, &anew).await.expect(StatusCode::NO_CONTENT);
        assert_eq!(second.program.post(AGREE, &anew).await.code(), "not-yours-to-decide", "agreed to");
        let shown = scene.admin.program.get(SETTINGS).await.expect(StatusCode::OK)["provider"].clone();
        assert_eq!(shown["agreed_by"], json!(second.id));
    }
    // What counts at once, for whom: half, then whole.
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    scene.admin.program.send(Method::DELETE, SETTINGS, &NONE).await.expect(StatusCode::NO_CONTENT);
    let mut nurse = scene.clinic.member(&mut scene.admin, "nurse.diaz", &["nurse"]).await;
    let (_, id, _) = set(&mut scene, json!({})).await;
    scene.provider.knows("nurse.diaz").await;
    assert_eq!(scene.link(&mut nurse).await, "/#linked");
    assert_eq!(scene.sign_in().await.1, half);
    for refused in [nurse.program.post(AGREE, &id).await, scene.clinic.program("acme").post(AGREE, &id).await]
    {
        assert!(
            matches!(refused.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED),
            "{}",
            refused.status
        );
    }
    scene.agree().await;
    assert_eq!(scene.sign_in().await.1, IN);
    // Everybody is told who decides or whom it concerns.
    let told = async |member: &mut Member| {
        member.program = scene.clinic.sign_in(member).await;
        member.program.get("/api/v1/notices").await.expect(StatusCode::OK).to_string()
    };
    let (officers, seconds) = (told(&mut scene.officer).await, told(&mut second).await);
    assert!(
        officers.contains("provider_changed") && seconds.contains("provider_agreed"),
        "{officers} {seconds}"
    );
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_whose_link_is_forgotten_is_told() {
    let mut scene = Scene::open().await;
    let mut nurse = scene.linked("nurse.costa", &["nurse"]).await;
    let mut other = scene.clinic.member(&mut scene.admin, "nurse.diaz", &["nurse"]).await;
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    let elsewhere = json!({"issuer": "https://id.example", "client_id": CLIENT, "label": "Acme"});
    put(&mut scene.admin, &elsewhere).await;
    for (member, forgotten) in [(&mut nurse, true), (&mut other, false)] {
        member.program = scene.clinic.sign_in(member).await;
        let notices = member.program.get("/api/v1/notices").await.expect(StatusCode::OK);
        let told = notices["notices"]
            .as_array()
            .unwrap()
            .iter()
            .any(|notice| notice["kind"] == "factor_removed" && notice["about"] == "provider");
        assert_eq!(told, forgotten, "{notices}");
    }
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_without_passwords_a_code_completes_no_sign_in_that_the_provider_alone_would_not() {
    let mut scene = Scene::open().await;
    let mut nurse = scene.linked("nurse.costa", &["nurse"]).await;
    for member in [&mut nurse, &mut scene.officer, &mut scene.admin] {
        member.program = scene.clinic.sign_in(member).await;
        register(&scene.clinic, &mut member.program, &Key::bound()).await.unwrap();
    }
    let one = json!({"claims": {"sub": "nurse.costa", "amr": ["pwd"]}});
    let decide = async |scene: &mut Scene, said: Value| {
        scene.admin.program.send(Method::PUT, SIGN_IN, &settings(&said)).await.expect(StatusCode::NO_CONTENT);
    };
    let code = async |scene: &Scene, browser: &Browser| {
        let code = json!({"code": scene.clinic.next_code(&nurse.secret)});
        browser.program(&scene.clinic).post("/api/v1/sign-in/totp", &code).await
    };
    decide(&mut scene, json!({"passwords": false})).await;
    // Of a role whose passkeys may be any, both together are two.
    scene.provider.set(one.clone()).await;
    let (browser, end) = scene.sign_in().await;
    assert_eq!(end, "/sign-in#second=totp,passkey");
    code(&scene, &browser).await.expect(StatusCode::OK);
    // Of one that demands more, a passkey is the second, and would have been enough.
    decide(&mut scene, json!({"passwords": false, "passkeys": {"nurse": "device-bound"}})).await;
    let (browser, end) = scene.sign_in().await;
    assert_eq!(end, "/sign-in#second=passkey");
    let refused = code(&scene, &browser).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "passwords-not-used"));
    assert!(browser.program(&scene.clinic).get("/api/v1/me").await.status != StatusCode::OK);
    // The control: the same with passwords.
    decide(&mut scene, json!({"passkeys": {"nurse": "device-bound"}})).await;
    let (browser, end) = scene.sign_in().await;
    assert_eq!(end, "/sign-in#second=totp,passkey");
    code(&scene, &browser).await.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_whoever_comes_to_decide_about_others_does_not_go_on_by_the_providers_word() {
    let mut scene = Scene::open().await;
    let mut nurse = scene.linked("nurse.costa", &["nurse"]).await;
    nurse.program = scene.clinic.sign_in(&nurse).await;
    let (there, end) = scene.sign_in().await;
    assert_eq!(end, IN);
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    scene.officer.program = scene.clinic.sign_in(&scene.officer).await;
    let role = format!("/api/v1/people/{}/roles/privacy_officer", nurse.id);
    let asked = scene.admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    there.program(&scene.clinic).get("/api/v1/me").await.expect(StatusCode::OK);
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    scene.officer.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);
    there.program(&scene.clinic).within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    // By their own factors they go on.
    nurse.program.get("/api/v1/me").await.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_another_sites_link_sends_nobody_to_the_provider() {
    let scene = Scene::open().await;
    for (site, there) in [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
    {
        let browser = Browser::of(&scene.clinic);
        let start = browser.http.get(format!("{}/federation/start", browser.base));
        let sent = start
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .send()
            .await
            .unwrap();
        let end = sent.headers()["location"].to_str().unwrap();
        assert_eq!(end.starts_with(&scene.provider.issuer), there, "{site}: {end}");
        assert_eq!(end == "/sign-in", !there, "{site}: {end}");
    }
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_an_answer_that_is_not_for_this_round_signs_nobody_in() {
    let mut scene = Scene::open().await;
    scene.linked("nurse.costa", &["nurse"]).await;
    let good = json!({"claims": {"sub": "nurse.costa", "amr": ["mfa"]}});
    let with = |name: &str, value: Value| {
        let mut told = good.clone();
        told["claims"][name] = value;
        told
    };
    let besides = |name: &str, value: Value| {
        let mut told = good.clone();
        told[name] = value;
        told
    };
    let now = scene.clinic.clock.now().as_micros() / 1_000_000;
    for (what, told, why) in [
        ("another nonce", with("nonce", json!("n")), "answer"),
        ("no nonce", with("nonce", NONE), "answer"),
        ("another audience", with("aud", json!("somebody")), "answer"),
        ("two audiences", with("aud", json!([CLIENT, "somebody"])), "answer"),
        ("another party", with("azp", json!("somebody")), "answer"),
        ("another issuer in the token", with("iss", json!("https://evil.example")), "answer"),
        ("over", with("exp", json!(now - 120)), "answer"),
        ("too old", with("iat", json!(now - 660)), "answer"),
        ("of the future", with("iat", json!(now + 120)), "answer"),
        ("no subject", with("sub", NONE), "answer"),
        ("not signed", besides("sign", json!("none")), "answer"),
        ("signed by the public key as a secret", besides("sign", json!("hs256")), "answer"),
        ("signed by another key of that name", besides("sign", json!("other")), "answer"),
        ("another issuer answers", besides("iss", json!("https://evil.example")), "answer"),
        ("an issuer that is announced and missing", besides("iss", NONE), "answer"),
        ("denied", besides("error", json!("access_denied")), "refused"),
        ("a token endpoint that fails", besides("token", json!(500)), "away"),
        ("a token endpoint that sends elsewhere", besides("token", json!(302)), "away"),
        ("a token endpoint that refuses", besides("token", json!(400)), "refused"),
        ("somebody whom nobody knows", with("sub", json!("stranger")), "nobody"),
        ("somebody with a known address", with("email", json!("nurse.costa")), "ok"),
        (
            "an address of somebody and another subject",
            {
                let mut told = with("email", json!("nurse.costa"));
                told["claims"]["sub"] = json!("stranger");
                told["claims"]["preferred_username"] = json!("nurse.costa");
                told
            },
            "nobody",
        ),
    ] {
        scene.provider.set(told).await;
        let (mut browser, end) = scene.sign_in().await;
        let expected = if why == "ok" { IN.to_owned() } else { stopped(why) };
        assert_eq!(end, expected, "{what}");
        assert_eq!(browser.me().await.is_some(), why == "ok", "{what}");
    }
    // A key without a name is the only one there is; a new one is found, once a minute.
    assert_eq!(scene.ends(besides("sign", json!("unnamed"))).await, IN);
    let read = scene.provider.asked("/keys").await;
    assert_eq!(scene.ends(besides("sign", json!("renewed"))).await, stopped("answer"));
    assert_eq!(scene.provider.asked("/keys").await, read, "just read");
    scene.clinic.clock.advance(Duration::from_secs(61));
    assert_eq!(scene.ends(good.clone()).await, IN);
    assert_eq!(scene.provider.asked("/keys").await, read + 1);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_a_round_is_for_the_browser_that_began_it_once_and_for_ten_minutes() {
    let mut scene = Scene::open().await;
    scene.linked("nurse.costa", &["nurse"]).await;
    // Of another browser: neither with its own round nor with none.
    let (mut own, back) = scene.on_the_way_back().await;
    let (mut other, _) = scene.on_the_way_back().await;
    assert_eq!(other.follow(&back).await, stopped("stale"));
    assert_eq!(Browser::of(&scene.clinic).follow(&back).await, stopped("stale"));
    assert!(other.me().await.is_none());
    // It was not used up by that; by its own browser it is.
    let cookies = own.cookies.clone();
    assert_eq!(own.follow(&back).await, IN);
    own.cookies = cookies;
    assert_eq!(own.follow(&back).await, stopped("stale"), "a second time");

    // A code of another round: the verifier does not fit it.
    let (mut browser, back) = scene.on_the_way_back().await;
    let (_, injected) = scene.on_the_way_back().await;
    let code = |url: &Url| url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mixed = back.as_str().replace(&code(&back), &code(&injected)).parse().unwrap();
    assert_eq!(browser.follow(&mixed).await, stopped("refused"));

    for broken in [
        |url: &str| url.replace("state=", "stat="),
        |url: &str| format!("{url}&state=1"),
        |url: &str| url.replace("state=", "state=0"),
    ] {
        let (mut browser, back) = scene.on_the_way_back().await;
        let url = broken(back.as_str()).parse().unwrap();
        assert_eq!(browser.follow(&url).await, stopped("stale"), "{url}");
    }
    let (mut late, back) = scene.on_the_way_back().await;
    scene.clinic.clock.advance(Duration::from_secs(10 * 60));
    scene.provider.knows("nurse.costa").await;
    assert_eq!(late.follow(&back).await, stopped("stale"), "too late");
    assert_eq!(scene.sign_in().await.1, IN);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_who_may_not_sign_in_here_does_not_by_the_provider() {
    let mut scene = Scene::open().await;
    let nurse = scene.linked("nurse.costa", &["nurse"]).await;
    assert_eq!(scene.sign_in().await.1, IN);
    let place = format!("/api/v1/people/{}", nurse.id);
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    scene.admin.program.post(&format!("{place}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(scene.sign_in().await.1, stopped("nobody"), "suspended");
    scene.admin.program.post(&format!("{place}/reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(scene.sign_in().await.1, IN);
    scene.admin.program.send(Method::DELETE, &place, &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(scene.sign_in().await.1, stopped("nobody"), "left");

    // Patients' accounts are not linked, and what was linked is not found: nobody but staff is.
    let mut lee = scene.linked("lee", &["reception"]).await;
    assert_eq!(scene.sign_in().await.1, IN);
    assert!(lee.program.get(OWN).await.expect(StatusCode::OK)["provider"].is_string());
    let sql = format!("UPDATE {{s}}.person SET audience = 'patient' WHERE id = '{}'", lee.id);
    scene.clinic.as_superuser("operations", &sql).await;
    assert_eq!(scene.sign_in().await.1, stopped("nobody"));
    assert!(lee.program.get(OWN).await.expect(StatusCode::OK)["provider"].is_null());
    assert_eq!(lee.program.post(OWN, &NONE).await.status, StatusCode::FORBIDDEN);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_one_account_of_the_provider_is_one_persons_and_is_linked_with_a_fresh_factor_in_the_same_session()
 {
    let mut scene = Scene::open().await;
    scene.linked("nurse.costa", &["nurse"]).await;
    let mut other = scene.clinic.member(&mut scene.admin, "nurse.diaz", &["nurse"]).await;
    assert_eq!(scene.link(&mut other).await, stopped("taken"));
    // In another session the answer links nobody, and signs nobody in.
    let mut browser = Browser::of(&scene.clinic);
    browser.keep("__Host-carekeep", other.program.token.as_deref().unwrap());
    scene.provider.knows("nurse.diaz").await;
    let begun: Value = serde_json::from_str(&browser.send(Method::POST, OWN).await.text).unwrap();
    let back = scene.provider.visit(begun["redirect_to"].as_str().unwrap()).await;
    let elsewhere = scene.clinic.sign_in(&other).await;
    browser.keep("__Host-carekeep", elsewhere.token.as_deref().unwrap());
    assert_eq!(browser.follow(&back).await, stopped("stale"));
    assert_eq!(scene.sign_in().await.1, stopped("nobody"));
    // Nor without a fresh factor.
    other.program = scene.clinic.sign_in(&other).await;
    scene.clinic.clock.advance(FRESH);
    let stale = other.program.post(OWN, &NONE).await;
    assert_eq!((stale.status, stale.code()), (StatusCode::FORBIDDEN, "fresh-factor-needed"));
    other.program = scene.clinic.sign_in(&other).await;
    scene.provider.knows("nurse.diaz").await;
    assert_eq!(scene.link(&mut other).await, "/#linked");
    assert!(other.program.get(OWN).await.expect(StatusCode::OK)["linked"].is_string());
    assert_eq!(scene.sign_in().await.1, IN);
    let notices = other.program.get("/api/v1/notices").await.expect(StatusCode::OK).to_string();
    assert!(notices.contains("provider_linked"), "{notices}");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_whom_scim_names_confirms_it_once_with_a_factor_of_their_own() {
    let mut scene = Scene::open().await;
    let nurse = scene.clinic.member(&mut scene.admin, "nurse.costa", &["nurse"]).await;
    let made = scene.admin.program.post("/api/v1/provisioning-tokens", &json!({"name": "x"})).await;
    let token = made.expect(StatusCode::CREATED)["token"].as_str().unwrap().to_owned();
    let scim = Program { token: Some(token), ..scene.clinic.program("acme") };
    let said = json!({"userName": "nurse.costa", "externalId": "7", "active": true});
    let user = format!("/scim/v2/Users/{}", nurse.id);
    let named =
        scim.http.put(format!("{}{user}", scim.base)).bearer_auth(scim.token.as_ref().unwrap()).json(&said);
    assert_eq!(named.send().await.unwrap().status(), StatusCode::OK);
    scene.provider.knows("7").await;
    // Until then, what SCIM says is worth one factor, however often and whatever the provider says.
    for _ in 0..2 {
        assert_eq!(scene.sign_in().await.1, "/sign-in#second=totp");
    }
    // That somebody comes in by other factors confirms nothing.
    scene.clinic.sign_in(&nurse).await;
    let (browser, end) = scene.sign_in().await;
    assert_eq!(end, "/sign-in#second=totp");
    let mut program = browser.program(&scene.clinic);
    let code = scene.clinic.next_code(&nurse.secret);
    program.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
    assert_eq!(scene.sign_in().await.1, IN, "confirmed");
    assert_eq!(scene.actions().await.iter().filter(|action| *action == "link_provider").count(), 1);
    // Whoever can say it anew takes nobody over: what was confirmed stays, and the new name finds nobody.
    let anew = json!({"userName": "nurse.costa", "externalId": "mallory", "active": true});
    let named =
        scim.http.put(format!("{}{user}", scim.base)).bearer_auth(scim.token.as_ref().unwrap()).json(&anew);
    assert_eq!(named.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(scene.ends(json!({"claims": {"sub": "mallory", "amr": ["mfa"]}})).await, stopped("nobody"));
    assert_eq!(scene.ends(json!({"claims": {"sub": "7", "amr": ["mfa"]}})).await, IN);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_a_provider_that_is_away_or_another_one_stops_nothing_but_the_way_by_it() {
    let mut scene = Scene::open().await;
    let nurse = scene.linked("nurse.costa", &["nurse"]).await;
    let start = async |scene: &Scene| Browser::of(&scene.clinic).go("/federation/start").await;
    // What is known is gone by for an hour; then it is asked again.
    let later = |scene: &Scene| scene.clinic.clock.advance(Duration::from_secs(3600));
    for (what, told) in [
        ("another issuer", json!({"lie": "https://evil.example"})),
        ("no metadata", json!({"body": "{}"})),
        ("no JSON", json!({"body": "<html>"})),
        ("endless", json!({"body": format!("\"{}\"", "x".repeat(300_000))})),
    ] {
        later(&scene);
        scene.provider.set(told).await;
        assert_eq!(start(&scene).await, stopped("away"), "{what}");
    }
    // It is left alone for a moment, and then asked again.
    scene.provider.knows("nurse.costa").await;
    assert_eq!(start(&scene).await, stopped("away"));
    scene.clinic.clock.advance(Duration::from_secs(5));
    let (mut browser, back) = scene.on_the_way_back().await;
    scene.provider.stop();
    assert_eq!(browser.follow(&back).await, stopped("away"), "away in between");
    assert!(start(&scene).await.starts_with(&scene.provider.issuer), "known, so the browser is sent there");
    later(&scene);
    assert_eq!(start(&scene).await, stopped("away"));
    let page = Browser::of(&scene.clinic).send(Method::GET, &stopped("away")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    // Own factors work all the time.
    let mut program = scene.clinic.sign_in(&nurse).await;
    assert_eq!(program.get("/api/v1/me").await.expect(StatusCode::OK)["aal"], 2);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_the_provider_is_set_by_an_administrator_with_a_fresh_factor_and_the_others_are_told() {
    let mut scene = Scene::open().await;
    let mut second = scene.clinic.member(&mut scene.admin, "second", &["tenant_admin"]).await;
    let mut nurse = scene.linked("nurse.costa", &["nurse"]).await;
    let (_, end) = scene.sign_in().await;
    assert_eq!(end, IN);
    let view = scene.admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    let origin = scene.clinic.origin("acme");
    assert_eq!(view["provider"]["authentication"], "private_key_jwt");
    assert_eq!(view["redirect_uri"], format!("{origin}/federation/callback"));
    let page = Browser::of(&scene.clinic).send(Method::GET, "/sign-in").await.text;
    assert!(page.contains(">Acme account</a>"), "{page}");

    let good = json!({"issuer": scene.provider.issuer, "client_id": CLIENT, "label": "Acme", "amr": ["mfa"],
        "client_secret": "a secret of the provider"});
    assert_eq!(nurse.program.send(Method::PUT, SETTINGS, &good).await.status, StatusCode::FORBIDDEN);
    for (name, value) in [
        ("issuer", json!("http://localhost")),
        ("issuer", json!("https://user@localhost")),
        ("subject_claim", json!("email")),
        ("label", json!("")),
        ("client_secret", json!("")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let refused = scene.admin.program.send(Method::PUT, SETTINGS, &bad).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "provider-not-valid"),
            "{bad}"
        );
    }
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    put(&mut scene.admin, &good).await;
    // By a secret that is shared, which nobody reads again.
    assert_eq!(scene.sign_in().await.1, IN);
    let view = scene.admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    assert_eq!(view["provider"]["authentication"], "client_secret_post");
    assert!(!view.to_string().contains("a secret of the provider"));
    let told = second.program.get("/api/v1/notices").await.expect(StatusCode::OK).to_string();
    assert!(told.contains("provider_changed"), "{told}");
    let own = scene.admin.program.get("/api/v1/notices").await.expect(StatusCode::OK).to_string();
    assert!(!own.contains("provider_changed"), "{own}");
    scene.clinic.clock.advance(FRESH);
    for (method, body) in [(Method::PUT, &good), (Method::DELETE, &NONE)] {
        let stale = scene.admin.program.send(method, SETTINGS, body).await;
        assert_eq!((stale.status, stale.code()), (StatusCode::FORBIDDEN, "fresh-factor-needed"));
    }
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    scene.admin.program.send(Method::DELETE, SETTINGS, &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(Browser::of(&scene.clinic).go("/federation/start").await, stopped("none"));
    let view = scene.admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    assert!(view["provider"].is_null() && view["redirect_uri"].is_string(), "{view}");
    let page = Browser::of(&scene.clinic).send(Method::GET, "/sign-in").await.text;
    assert!(!page.contains("/federation/start"), "{page}");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_without_its_entry_in_the_ledger_a_sign_in_gives_no_session() {
    let mut scene = Scene::open().await;
    scene.linked("nurse.costa", &["nurse"]).await;
    let (mut browser, back) = scene.on_the_way_back().await;
    scene.clinic.as_superuser("clinical", "REVOKE INSERT ON {s}.audit_entry FROM {s}_c").await;
    let path = format!("{}?{}", back.path(), back.query().unwrap());
    let refused = browser.send(Method::GET, &path).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert!(!browser.has("__Host-carekeep"));
    scene.clinic.as_superuser("clinical", "GRANT INSERT ON {s}.audit_entry TO {s}_c").await;
    assert_eq!(scene.sign_in().await.1, IN);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_without_its_entry_in_the_ledger_nobody_agrees() {
    let mut scene = Scene::open().await;
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    let other =
        json!({"issuer": scene.provider.issuer, "client_id": CLIENT, "label": "Acme", "amr": ["otp"]});
    put(&mut scene.admin, &other).await;
    scene.officer.program = scene.clinic.sign_in(&scene.officer).await;
    let shown = scene.officer.program.get(SETTINGS).await.expect(StatusCode::OK)["provider"].clone();
    scene.clinic.as_superuser("clinical", "REVOKE INSERT ON {s}.audit_entry FROM {s}_c").await;
    let refused = scene.officer.program.post(AGREE, &json!({"id": shown["id"]})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    scene.clinic.as_superuser("clinical", "GRANT INSERT ON {s}.audit_entry TO {s}_c").await;
    let still = scene.officer.program.get(SETTINGS).await.expect(StatusCode::OK)["provider"].clone();
    assert_eq!(still, shown);
    scene.agree().await;
    assert!(scene.actions().await.contains(&"approve_settings".to_owned()));
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_going_to_the_provider_counts_as_an_attempt_to_sign_in() {
    let rates =
        LimiterConfig { sign_in_address: LaneLimit::per_seconds(6, 600), ..LimiterConfig::new([1; 32]) };
    let clinic = Clinic::open_with(&rates).await;
    for _ in 0..6 {
        assert_eq!(Browser::of(&clinic).go("/federation/start").await, stopped("none"));
    }
    let refused = Browser::of(&clinic).send(Method::GET, "/federation/start").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.text.contains("sign-in-address"), "{}", refused.text);
    clinic.close().await;
}

#[tokio::test]
async fn i12_a_provider_that_stalls_holds_up_its_own_tenant_only() {
    let mut scene = Scene::open().await;
    scene.linked("nurse.costa", &["nurse"]).await;
    let clinic = &scene.clinic;
    let other = clinic.provider_called("provider of bolt");
    let first = first_admin_invite(&clinic.vault, clinic.bolt.id, "bo.admin", "Bo Larsen").await.unwrap();
    let mut bo = clinic.join_at(clinic.program("bolt"), "bo.admin", first.token.reveal()).await;
    introduce(&other, &mut bo).await;
    other.knows("bo").await;
    assert_eq!(link(Browser::at(clinic, "bolt"), &other, &mut bo).await, "/#linked");

    // Many more than there are places for one tenant.
    let mut under_way = Vec::new();
    for _ in 0..72 {
        under_way.push(scene.on_the_way_back().await);
    }
    let before = scene.provider.asked("/token").await;
    let asked = async || scene.provider.asked("/token").await - before;
    scene.provider.set(json!({"stall": true})).await;
    let mut arriving = tokio::task::JoinSet::new();
    for (mut browser, back) in under_way {
        arriving.spawn(async move { browser.follow(&back).await });
    }
    for _ in 0..72 - 8 {
        assert_eq!(arriving.join_next().await.unwrap().unwrap(), stopped("away"));
    }
    assert_eq!(asked().await, 8, "the others were refused at once, and the provider not asked");

    let mut browser = Browser::at(clinic, "bolt");
    let away = browser.go("/federation/start").await;
    let back = other.visit(&away).await;
    // An administrator's second factor is one of their own.
    assert_eq!(browser.follow(&back).await, "/sign-in#second=totp");
    assert_eq!(arriving.len(), 8, "meanwhile acme's still wait");

    // The control: once it answers, those who waited are in, and there is room again.
    scene.provider.knows("nurse.costa").await;
    while let Some(end) = arriving.join_next().await {
        assert_eq!(end.unwrap(), IN);
    }
    assert_eq!(scene.sign_in().await.1, IN);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_codes_that_are_made_up_do_not_make_us_ask_a_provider_all_the_time() {
    let few = LimiterConfig { provider: LaneLimit::per_seconds(3, 6_000), ..rates() };
    let mut scene = Scene::open_with(&few).await;
    scene.linked("nurse.costa", &["nurse"]).await;
    assert_eq!(scene.sign_in().await.1, IN, "the control");
    let made_up = async || {
        let (mut browser, mut back) = scene.on_the_way_back().await;
        let pairs: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "code").collect();
        back.query_pairs_mut().clear().extend_pairs(pairs).append_pair("code", "made up");
        browser.send(Method::GET, &format!("{}?{}", back.path(), back.query().unwrap())).await
    };
    assert_eq!(made_up().await.headers["location"], stopped("refused"));
    let refused = made_up().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text);
    assert!(refused.text.contains("identity-provider"), "{}", refused.text);
    assert_eq!(scene.provider.asked("/token").await, 3, "linking, signing in, and one that was made up");
    scene.clinic.close().await;
}
