//! S2, S3: what a browser gets: cookies, pages and their headers; and what it cannot be made to do.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, PASSWORD};

/// A browser at `acme`, on its own pages unless `headers` say otherwise.
async fn send(
    clinic: &Clinic,
    method: Method,
    path: &str,
    (headers, body): (&[(&str, &str)], Value),
) -> Answer {
    let program = clinic.program("acme");
    let mut request = program.http.request(method, format!("{}{path}", program.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_null() {
        request = request.json(&body);
    }
    Answer::of(request).await
}

fn cookie_of(answer: &Answer) -> (String, String) {
    let all = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    // What a browser is recognised by comes with it at the end of a sign-in.
    let mut cookies = all.filter(|cookie| !cookie.starts_with("__Host-carekeep-device="));
    let cookie = cookies.next().unwrap();
    assert!(cookies.next().is_none());
    let (pair, flags) = cookie.split_once("; ").unwrap();
    (pair.to_owned(), flags.to_owned())
}

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

#[tokio::test]
async fn bar_s3_the_cookie_is_locked_to_the_host_and_other_sites_cannot_use_it() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let credentials = json!({"login": "ada.admin", "password": PASSWORD});
    let half = send(&clinic, Method::POST, "/api/v1/sign-in/password", (&[OWN], credentials)).await;
    assert_eq!(half.status, StatusCode::OK, "{}", half.text);
    assert!(half.body.get("token").is_none(), "a script could read it there");
    let (pair, flags) = cookie_of(&half);
    assert!(pair.starts_with("__Host-carekeep=cks_"));
    assert_eq!(flags, "Path=/; Secure; HttpOnly; SameSite=Lax");
    let code = json!({"code": clinic.next_code(&admin.secret)});
    let whole = send(&clinic, Method::POST, "/api/v1/sign-in/totp", (&[OWN, ("cookie", &pair)], code)).await;
    assert_eq!(whole.body["next"], "done", "{}", whole.text);
    let (cookie, _) = cookie_of(&whole);
    assert_ne!(cookie, pair);

    let path = "/api/v1/enrol/recovery-codes";
    for (site, origin) in [
        ("cross-site", "https://evil.test"),
        ("same-site", "https://bolt.localhost"),
        ("none", "https://evil.test"),
    ] {
        let from = [("sec-fetch-site", site), ("origin", origin), ("cookie", cookie.as_str())];
        let refused = send(&clinic, Method::POST, path, (&from, Value::Null)).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "cross-site-request"), "{site}");
    }
    let bare = send(&clinic, Method::POST, path, (&[("cookie", cookie.as_str())], Value::Null)).await;
    assert_eq!(bare.status, StatusCode::FORBIDDEN);
    let asked = [OWN, ("cookie", cookie.as_str()), ("carekeep-token", "body")];
    let refused = send(&clinic, Method::POST, path, (&asked, Value::Null)).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "token-in-browser"));
    let own = send(&clinic, Method::POST, path, (&[OWN, ("cookie", &cookie)], Value::Null)).await;
    assert_eq!(own.status, StatusCode::OK, "{}", own.text);
    let (cookie, _) = cookie_of(&own);

    let me = send(&clinic, Method::GET, "/api/v1/me", (&[OWN, ("cookie", &cookie)], Value::Null)).await;
    assert_eq!(me.body["login"], "ada.admin");
    let out =
        send(&clinic, Method::POST, "/api/v1/sign-out", (&[OWN, ("cookie", &cookie)], Value::Null)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(cookie_of(&out).0, "__Host-carekeep=");
    // That the browser was here is not forgotten: the cookie of the session is, by itself.
    assert_eq!(out.headers["clear-site-data"], "\"cache\", \"storage\"");
    assert!(cookie_of(&out).1.contains("Max-Age=0"), "{}", cookie_of(&out).1);
    clinic.close().await;
}

#[tokio::test]
async fn bar_s2_pages_run_their_own_scripts_and_answers_of_the_api_run_none() {
    let clinic = Clinic::open().await;
    for path in ["/sign-in", "/join"] {
        let page = send(&clinic, Method::GET, path, (&[], Value::Null)).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.contains("Clinic acme"), "{path} is branded");
        let csp = page.headers["content-security-policy"].to_str().unwrap();
        assert!(csp.contains("script-src 'self'") && !csp.contains("unsafe-inline"), "{csp}");
        assert_eq!(page.headers["cache-control"], "no-store");
    }
    let script = send(&clinic, Method::GET, "/assets/sign-in.js", (&[], Value::Null)).await;
    assert!(script.headers["content-type"].to_str().unwrap().starts_with("text/javascript"));
    let first = send(&clinic, Method::GET, "/", (&[], Value::Null)).await;
    assert_eq!(
        (first.status, &first.headers["location"]),
        (StatusCode::SEE_OTHER, &"/sign-in".parse().unwrap())
    );
    let api = send(&clinic, Method::GET, "/api/v1/openapi.json", (&[], Value::Null)).await;
    assert_eq!(api.body["openapi"], "3.1.0");
    assert!(api.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    let missing = send(&clinic, Method::GET, "/assets/none.js", (&[], Value::Null)).await;
    assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, "not-found"));
    clinic.close().await;
}
