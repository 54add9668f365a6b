//! What every page promises.

use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::Response,
};
use carekeep_kernel::TenantKind;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::{Brand, SignInService, assets, router};

async fn get(path: &str, cookie: Option<&str>) -> Response {
    get_at(TenantKind::Clinic, path, cookie).await
}

async fn get_at(kind: TenantKind, path: &str, cookie: Option<&str>) -> Response {
    let mut request = Request::builder().uri(path);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Brand {
        name: "Smith & <Sons>".to_owned(),
        accent: "#7a1f4b".parse().ok(),
        kind,
    });
    router().oneshot(request).await.unwrap()
}

async fn text(path: &str) -> String {
    text_at(TenantKind::Clinic, path).await
}

async fn text_at(kind: TenantKind, path: &str) -> String {
    let response = get_at(kind, path, Some("__Host-carekeep=cks_x")).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const PAGES: [&str; 9] =
    ["/", "/sign-in", "/join", "/recover", "/consent", "/apps", "/clinics", "/people", "/settings"];

#[tokio::test]
async fn i3_who_looks_after_clinics_is_offered_a_passkey_and_their_own_roles_only() {
    let beyond = [TenantKind::Partner, TenantKind::Platform];
    for kind in beyond {
        let page = text_at(kind, "/sign-in").await;
        assert!(page.contains("id=\"passkey\"") && !page.contains("id=\"password\""), "{kind}");
        let page = text_at(kind, "/").await;
        assert!(page.contains("href=\"/clinics\"") && !page.contains("id=\"new-codes\""), "{kind}");
        let page = text_at(kind, "/people").await;
        assert!(page.contains("value=\"auditor\"") && !page.contains("value=\"clinician\""), "{kind}");
    }
    // The control: a clinic.
    assert!(text("/sign-in").await.contains("id=\"password\""));
    assert!(text("/").await.contains("id=\"new-codes\"") && !text("/").await.contains("href=\"/clinics\""));
    let page = text("/people").await;
    assert!(page.contains("value=\"clinician\"") && !page.contains("value=\"platform_operator\""));
}

#[tokio::test]
async fn i12_the_button_of_the_organisations_service_is_there_where_there_is_one() {
    let shown = async |label: Option<&str>| {
        let mut request = Request::builder().uri("/sign-in").body(Body::empty()).unwrap();
        let brand = Brand { name: "Harbour".to_owned(), accent: None, kind: TenantKind::Clinic };
        request.extensions_mut().insert(brand);
        if let Some(label) = label {
            request.extensions_mut().insert(SignInService { label: label.to_owned() });
        }
        let body = router().oneshot(request).await.unwrap().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    assert!(!shown(None).await.contains("/federation/start"));
    let page = shown(Some("Ha<b>r</b>bour")).await;
    assert!(page.contains("href=\"/federation/start\">Ha&#60;b&#62;r&#60;/b&#62;bour</a>"), "{page}");
}

#[tokio::test]
async fn i12_a_sign_in_that_stopped_says_what_to_do_next() {
    let words = [
        ("away", 503),
        ("refused", 403),
        ("answer", 403),
        ("nobody", 403),
        ("taken", 409),
        ("none", 404),
        ("stale", 403),
        ("<b>", 200),
    ];
    let mut texts = Vec::new();
    for (why, status) in words {
        let path = format!("/sign-in-stopped?why={}", why.replace('<', "%3C").replace('>', "%3E"));
        let response = get(&path, None).await;
        assert_eq!(response.status(), status, "{why}");
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        let page = String::from_utf8(body).unwrap();
        assert!(
            page.contains("role=\"alert\"") && page.contains("href=\"/sign-in\"") && !page.contains("<b>"),
            "{why}"
        );
        texts.push(page);
    }
    texts.dedup();
    assert_eq!(texts.len(), 8, "each has words of its own");
}

#[tokio::test]
async fn a_page_has_language_heading_brand_and_a_label_for_every_field() {
    for path in PAGES {
        let page = text(path).await;
        assert!(page.contains("<html lang=\"en\">"), "{path}");
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        // askama escapes the name.
        assert!(page.contains("Smith &#38; &#60;Sons&#62;") && !page.contains("<Sons>"), "{path}: {page}");
        assert!(page.contains("role=\"alert\"") && page.contains("name=\"viewport\""), "{path}");
        let fields = ["<input", "<select", "<textarea"].map(|tag| page.split(tag).skip(1));
        for field in fields.into_iter().flatten() {
            let id = field.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            assert!(page.contains(&format!("for=\"{id}\"")), "{path}: {id} has no label");
        }
    }
}

#[tokio::test]
async fn a_page_has_nothing_inline_and_nothing_from_elsewhere() {
    for path in PAGES {
        let page = text(path).await;
        assert!(!page.contains("style=") && !page.contains("<style"), "{path}");
        let handler =
            |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).starts_with('=');
        assert!(!page.split(" on").skip(1).any(handler), "{path}: an event handler");
        assert!(!page.contains("http://") && !page.contains("https://"), "{path}");
        for script in page.split("<script").skip(1) {
            assert!(script.trim_start().starts_with("type=\"module\" src=\"/assets/"), "{path}");
            assert!(script.contains("\"></script>"), "{path}: the script has a body");
        }
    }
}

#[tokio::test]
async fn a_form_never_puts_what_was_typed_into_an_address() {
    for path in PAGES {
        for form in text(path).await.split("<form").skip(1) {
            assert!(form.split('>').next().unwrap().contains("method=\"post\""), "{path}");
        }
    }
}

#[tokio::test]
async fn what_pages_and_scripts_refer_to_is_there() {
    let mut texts: Vec<String> = Vec::new();
    for path in PAGES {
        texts.push(text(path).await);
    }
    texts.extend(assets::FILES.iter().map(|(.., text)| (*text).to_owned()));
    for (name, ..) in assets::FILES {
        let response = get(&format!("/assets/{name}"), None).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let referred = format!("/assets/{name}");
        let imported = format!("./{name}");
        assert!(
            texts.iter().any(|text| text.contains(&referred) || text.contains(&imported)),
            "{name}: unused"
        );
    }
    assert_eq!(get("/assets/none.js", None).await.status(), StatusCode::NOT_FOUND);
    for text in &texts {
        for sink in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"]
        {
            assert!(!text.contains(sink), "{sink}");
        }
    }
}

#[tokio::test]
async fn without_a_session_the_first_page_leads_to_signing_in() {
    let response = get("/", None).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["location"], "/sign-in");
    assert_eq!(get("/", Some("__Host-carekeep=cks_x")).await.status(), StatusCode::OK);
}
