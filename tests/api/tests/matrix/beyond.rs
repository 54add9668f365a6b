//! What is there for the people of the platform and of partners, at their own hosts; and that nothing else is.

use std::collections::BTreeSet;

use carekeep_gateway::api::endpoints;
use carekeep_kernel::{Offered, TenantKind};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    Scene,
    cast::{Actor, cast_beyond},
    methods::filled,
    row,
    stage::{Body, Call, Stage},
    table::{Row, Table},
};

const AT: &[&str] = &["at the platform", "at a partner"];

/// Each route that is played there, at both hosts.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("tenants.list", AT),
    ("me", AT),
    ("sessions.list", AT),
    ("passkeys.list", AT),
    ("notices.list", AT),
    ("people.list", AT),
    ("people.weak_factors", AT),
    ("role_requests.list", AT),
    ("recoveries.list", AT),
    ("settings.sign_in", AT),
    ("page.clinics", AT),
];

#[tokio::test]
async fn bar_z3_each_principal_gets_what_the_table_says_where_the_platforms_and_partners_people_are() {
    let stage = Stage::open().await;
    let hosts = [("platform", stage.operators), ("northstar", stage.partner)];
    let mut casts = Vec::new();
    for host in hosts {
        casts.push(cast_beyond(&stage, host).await);
    }
    let mut table = Table::default();
    let pages = carekeep_portal::pages();
    for (name, variants) in ROUTES {
        for (cast, variant) in casts.iter().zip(*variants) {
            let row = match endpoints().iter().find(|endpoint| endpoint.name == *name) {
                Some(endpoint) => row(endpoint, variant),
                None => {
                    let page = pages.iter().find(|page| page.name == *name).unwrap();
                    let (method, success) = (Method::GET, StatusCode::OK);
                    Row { name: page.name, variant, method, path: page.path, success }
                }
            };
            let mut scene = Scene::new(&stage);
            let mut cells = Vec::new();
            for actor in cast {
                let credential = stage.credential(actor).await;
                cells.push((actor.name, scene.play(&credential, &Call::get(row.path)).await));
            }
            table.add(&row, &cells);
        }
    }
    table.compare("beyond", "Who gets what at the hosts of the platform's people and of a partner's.");
    stage.close().await;
}

/// Whoever may do the most there.
fn mighty<'a>(cast: &'a [Actor], name: &str) -> [&'a Actor; 2] {
    let find = |name: &str| cast.iter().find(|actor| actor.name == name).unwrap();
    [find(name), find("administrator")]
}

#[tokio::test]
async fn i3_i10_what_is_a_clinics_is_not_there_where_the_platforms_and_partners_people_are() {
    let stage = Stage::open().await;
    let hosts = [
        ("platform", stage.operators, "platform operator", TenantKind::Platform),
        ("northstar", stage.partner, "partner admin", TenantKind::Partner),
    ];
    for (slug, tenant, name, kind) in hosts {
        let cast = cast_beyond(&stage, (slug, tenant)).await;
        for actor in mighty(&cast, name) {
            let credential = stage.credential(actor).await;
            let before = stage.onlooker.tenants(&[stage.clinic.acme.id, tenant]).await;
            for (route, method, path) in routes(kind) {
                let path = filled(path, &stage);
                let body = if method == Method::GET { Body::None } else { Body::Json(json!({})) };
                let answer = stage.send(&credential, &Call::new(method.clone(), &*path, body.clone())).await;
                // The same place with a name that no route has.
                let (root, _) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
                let nowhere = Call::new(method, format!("/{root}/no-such-route"), body);
                let expected = stage.send(&credential, &nowhere).await;
                assert_eq!(
                    answer.status,
                    StatusCode::NOT_FOUND,
                    "{slug}, {}: {route}: {}",
                    actor.name,
                    answer.text
                );
                assert_eq!(said(&answer), said(&expected), "{slug}, {}: {route}", actor.name);
            }
            assert!(stage.onlooker.tenants(&[stage.clinic.acme.id, tenant]).await == before, "{slug}");
        }
    }
    // The control: at the clinic all of them are there; and what is not a clinic's is not.
    let clinician = stage.credential(stage.actor("clinician")).await;
    for (route, method, path) in routes(TenantKind::Platform) {
        let call = Call::new(Method::from_bytes(b"TRACE").unwrap(), filled(path, &stage), Body::None);
        let answer = stage.send(&clinician, &call).await;
        assert!(answer.headers["allow"].to_str().unwrap().contains(method.as_str()), "{route}");
    }
    for path in ["/api/v1/tenants", "/clinics"] {
        let answer = stage.send(&clinician, &Call::get(path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text);
    }
    stage.close().await;
}

/// The routes that are not for tenants of this kind: name, method, path.
fn routes(kind: TenantKind) -> Vec<(&'static str, Method, &'static str)> {
    let api = endpoints().into_iter().map(|of| (of.name, of.method.clone(), of.path, of.offered));
    let pages = carekeep_portal::pages().into_iter().map(|of| (of.name, Method::GET, of.path, of.offered));
    let all = api.chain(pages).filter(|(.., offered)| !offered.at(kind));
    all.map(|(name, method, path, _)| (name, method, path)).collect()
}

/// What an answer says, without what differs from request to request.
fn said(answer: &crate::support::Answer) -> (Vec<(String, String)>, String) {
    let request = answer.headers["x-request-id"].to_str().unwrap();
    let moment = ["x-request-id", "date", "ratelimit", "content-length"];
    let kept = answer.headers.iter().filter(|(name, _)| !moment.contains(&name.as_str()));
    let mut headers: Vec<_> =
        kept.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (headers, answer.text.replace(request, "request"))
}

#[test]
fn i10_a_route_is_a_clinics_unless_it_is_said_to_be_for_others_and_all_methods_of_a_path_agree() {
    let offered: BTreeSet<_> =
        endpoints().iter().map(|endpoint| (endpoint.path, format!("{:?}", endpoint.offered))).collect();
    let paths: BTreeSet<_> = offered.iter().map(|(path, _)| path).collect();
    assert_eq!(offered.len(), paths.len(), "{offered:?}");
    for endpoint in endpoints() {
        let clinical = ["fhir.", "scim.", "patients.", "care_team.", "app", "launch.", "consent.", "oauth."];
        if clinical.iter().any(|area| endpoint.name.starts_with(area)) {
            assert_eq!(endpoint.offered, Offered::AtClinics, "{}", endpoint.name);
        }
    }
}
