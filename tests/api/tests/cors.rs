//! I11, BARS S3: pages of other origins read the answers of the routes for apps, if the tenant approved an app there, and nothing
//! else; with a bearer token, and never with a cookie.

use std::time::{Duration, Instant};

use carekeep_gateway::{api::endpoints, edge::Readers};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Clinic},
    ward::{Ward, registration},
};

/// Of the app's redirect URI.
const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.test";

/// A request as the browser sends it for a page of this origin.
struct Page<'a> {
    clinic: &'a Clinic,
    tenant: &'a str,
    origin: &'a str,
}

impl Page<'_> {
    async fn sends(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let program = self.clinic.program(self.tenant);
        let request = program.http.request(method, format!("{}{path}", program.base));
        let request = request.header("origin", self.origin).header("sec-fetch-site", "cross-site");
        let request = request.header("sec-fetch-mode", "cors").header("sec-fetch-dest", "empty");
        let with = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(with.body(body.to_owned())).await
    }

    async fn asks(&self, path: &str, method: &str) -> Answer {
        let wants = [
            ("access-control-request-method", method),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        self.sends(Method::OPTIONS, path, &wants, "").await
    }
}

fn page<'a>(clinic: &'a Clinic, origin: &'a str) -> Page<'a> {
    Page { clinic, tenant: "acme", origin }
}

fn said<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

fn reader(answer: &Answer) -> Option<&str> {
    assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{}", answer.text);
    said(answer, "access-control-allow-origin")
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn i11_the_page_of_an_approved_app_reads_what_its_token_opens() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let code = ward.code().await;
    let token = ward.exchange(&code).await.expect(StatusCode::OK);
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let app = Page { clinic: &ward.clinic, tenant: "acme", origin: APP };
    let path = format!("/fhir/R4/Patient/{}", ward.own);
    let read = app.sends(Method::GET, &path, &[("authorization", &bearer)], "").await;
    assert_eq!((read.status, reader(&read)), (StatusCode::OK, Some(APP)), "{}", read.text);
    assert!(said(&read, "vary").unwrap().contains("origin"));
    assert!(
        said(&read, "access-control-expose-headers").unwrap().contains("etag")
            && read.headers.contains_key("etag")
    );
    let asked = app.asks(&path, "GET").await;
    assert_eq!((asked.status, reader(&asked)), (StatusCode::NO_CONTENT, Some(APP)));
    assert_eq!(said(&asked, "access-control-max-age"), Some("600"));
    assert!(said(&asked, "access-control-allow-headers").unwrap().contains("authorization"));
    assert!(said(&asked, "access-control-allow-methods").unwrap().contains("GET"));
    assert!(said(&asked, "vary").unwrap().contains("origin"));
    // A refusal is read as well, and so is what the token endpoint says to a form without a bearer token.
    let hidden = format!("/fhir/R4/Patient/{}", ward.other);
    let other = app.sends(Method::GET, &hidden, &[("authorization", &bearer)], "").await;
    assert_eq!((other.status, reader(&other)), (StatusCode::NOT_FOUND, Some(APP)));
    let nobody = app.sends(Method::GET, &path, &[], "").await;
    assert_eq!((nobody.status, reader(&nobody)), (StatusCode::UNAUTHORIZED, Some(APP)));
    let refresh = format!(
        "grant_type=refresh_token&refresh_token={}&client_id={}",
        token["refresh_token"].as_str().unwrap(),
        ward.client
    );
    let next = app.sends(Method::POST, "/oauth/token", &[FORM], &refresh).await;
    assert_eq!((next.status, reader(&next)), (StatusCode::OK, Some(APP)), "{}", next.text);
    let again = app.sends(Method::POST, "/oauth/token", &[FORM], &refresh).await;
    assert_eq!((again.status, reader(&again)), (StatusCode::BAD_REQUEST, Some(APP)));
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        let about = format!("token=x&client_id={}", ward.client);
        let answer = app.sends(Method::POST, path, &[FORM], &about).await;
        assert_eq!((answer.status, reader(&answer)), (StatusCode::OK, Some(APP)), "{path}");
    }
    ward.clinic.close().await;
}

#[tokio::test]
async fn bar_s3_other_origins_read_nothing_and_change_nothing() {
    let mut ward = Ward::open().await;
    let path = format!("/fhir/R4/Patient/{}", ward.own);
    let bearer = format!("Bearer {}", ward.doctor.program.token.clone().unwrap());
    let with = [("authorization", bearer.as_str())];
    // Nobody looked at the app yet.
    assert_eq!(reader(&page(&ward.clinic, APP).sends(Method::GET, &path, &with, "").await), None);
    ward.approve().await;
    let clinic = &ward.clinic;
    settle(&page(clinic, APP), &path, &with).await;
    for origin in [
        EVIL,
        "null",
        "https://app.example:8443",
        "http://app.example",
        "https://app.example.evil.test",
        "https://www.app.example",
        "https://APP.example",
        "https://app.example/",
        "*",
        "",
    ] {
        let page = page(clinic, origin);
        let read = page.sends(Method::GET, &path, &with, "").await;
        assert_eq!((reader(&read), said(&read, "access-control-expose-headers")), (None, None), "{origin}");
        assert!(said(&read, "vary").unwrap().contains("origin"), "{origin}");
        let asked = page.asks(&path, "PUT").await;
        assert_eq!((asked.status, reader(&asked)), (StatusCode::METHOD_NOT_ALLOWED, None), "{origin}");
        let form = format!("token=x&client_id={}", ward.client);
        let sent = page.sends(Method::POST, "/oauth/introspect", &[FORM], &form).await;
        assert_eq!(
            (sent.status, sent.code(), reader(&sent)),
            (StatusCode::FORBIDDEN, "cross-site-request", None)
        );
    }
    // Two origins are none.
    let twice = page(clinic, APP).sends(Method::GET, &path, &[with[0], ("origin", EVIL)], "").await;
    assert_eq!(reader(&twice), None);
    // Of the other tenant, the app is nobody's.
    let there = Page { clinic, tenant: "bolt", origin: APP };
    assert_eq!(reader(&there.asks(&path, "GET").await), None);
    // The app's page with the person's cookie: refused, and not readable.
    let cookie = format!("__Host-carekeep={}", ward.doctor.program.token.clone().unwrap());
    let read = page(clinic, APP).sends(Method::GET, &path, &[("cookie", &cookie)], "").await;
    assert_eq!((read.status, reader(&read)), (StatusCode::FORBIDDEN, None));
    let both = [("cookie", cookie.as_str()), with[0]];
    let asked = page(clinic, APP).sends(Method::POST, "/fhir/R4/Patient", &both, "{}").await;
    assert_eq!((asked.status, reader(&asked)), (StatusCode::FORBIDDEN, None));
    ward.clinic.close().await;
}

/// Until the app's origin is known: an answer is remembered for less than a second.
async fn settle(page: &Page<'_>, path: &str, with: &[(&str, &str)]) {
    turns(page, path, with, Some(APP)).await;
}

async fn turns(page: &Page<'_>, path: &str, with: &[(&str, &str)], expected: Option<&str>) {
    let began = Instant::now();
    while reader(&page.sends(Method::GET, path, with, "").await) != expected {
        assert!(began.elapsed() < Duration::from_millis(1_500), "{expected:?} takes more than a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bar_s3_the_origin_of_a_disabled_app_is_refused_within_a_second() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let path = format!("/fhir/R4/Patient/{}", ward.own);
    settle(&page(&ward.clinic, APP), &path, &[]).await;
    let disable = format!("/api/v1/apps/{}/disable", ward.client);
    ward.admin.program.post(&disable, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    turns(&page(&ward.clinic, APP), &path, &[], None).await;
    assert_eq!(page(&ward.clinic, APP).asks(&path, "GET").await.status, StatusCode::METHOD_NOT_ALLOWED);
    // While another app of that origin is approved, it is read by that one's pages.
    let second = ward.admin.program.post("/api/v1/apps", &registration("user/*.rs")).await;
    ward.client = second.expect(StatusCode::CREATED)["client_id"].as_str().unwrap().to_owned();
    ward.approve().await;
    turns(&page(&ward.clinic, APP), &path, &[], Some(APP)).await;
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_what_clients_read_first_is_for_every_page_and_the_persons_own_routes_for_none() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let (app, evil) = (APP, EVIL);
    let page = |origin| page(&ward.clinic, origin);
    settle(&page(app), "/fhir/R4/Patient", &[]).await;
    let mut counted = [0; 3];
    for endpoint in endpoints() {
        let path =
            endpoint.path.replace("{type}", "Patient").replace("{id}", &ward.own).replace("{version}", "1");
        let (by_app, by_evil) = (
            page(app).asks(&path, endpoint.method.as_str()).await,
            page(evil).asks(&path, endpoint.method.as_str()).await,
        );
        let readers = (reader(&by_app), reader(&by_evil));
        let (place, expected) = match endpoint.readers {
            Readers::Nobody => (0, (None, None)),
            Readers::Apps => (1, (Some(APP), None)),
            Readers::Anybody => (2, (Some("*"), Some("*"))),
        };
        assert_eq!(readers, expected, "{}", endpoint.name);
        counted[place] += 1;
        let apps = ["fhir.", "oauth."].iter().any(|area| endpoint.name.starts_with(area));
        let expected = match endpoint.name {
            "oauth.authorize" => Readers::Nobody,
            "fhir.capabilities" | "oauth.jwks" => Readers::Anybody,
            name if name.contains("_configuration") => Readers::Anybody,
            _ if apps => Readers::Apps,
            _ => Readers::Nobody,
        };
        assert_eq!(endpoint.readers, expected, "{}", endpoint.name);
    }
    assert!(counted[0] > 30 && counted[1] == 12 && counted[2] == 5, "{counted:?}");
    let found = page(evil).sends(Method::GET, "/.well-known/smart-configuration", &[], "").await;
    assert_eq!((found.status, reader(&found)), (StatusCode::OK, Some("*")));
    // The tenant's own pages need no leave, and get none.
    let own = ward.clinic.origin("acme");
    let own = page(&own).sends(Method::GET, "/.well-known/smart-configuration", &[], "").await;
    assert_eq!(reader(&own), None);
    for path in ["/sign-in", "/consent", "/assets/api.js", "/nowhere"] {
        let answer = page(app).sends(Method::GET, path, &[], "").await;
        assert_eq!(reader(&answer), None, "{path}");
    }
    let me = page(app).sends(Method::GET, "/api/v1/me", &[], "").await;
    assert_eq!((me.status, reader(&me)), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(me.body["code"], json!("unauthenticated"));
    ward.clinic.close().await;
}
