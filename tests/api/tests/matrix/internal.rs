//! The internal listener: its control API takes its own token and nobody's session.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use carekeep::{control, internal};
use carekeep_gateway::{
    edge::{self, EdgeLimits, Listener, ServeHandle, ShutdownTrigger, shutdown},
    telemetry::{Metrics, Readiness},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Answer;

use super::{
    headers,
    stage::Stage,
    table::{Row, Table, cell},
};

/// Each route of the control API with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("control.list", &[""]),
    ("control.create", &[""]),
    ("control.show", &[""]),
    ("control.suspend", &[""]),
    ("control.resume", &[""]),
    ("control.role_requests", &[""]),
    ("control.approve_role", &[""]),
    ("control.reject_role", &[""]),
];

const TOKEN: &str = "control-token-for-tests";

struct Inside {
    address: SocketAddr,
    http: reqwest::Client,
    handle: ServeHandle,
    trigger: ShutdownTrigger,
}

impl Inside {
    async fn open(stage: &Stage) -> Self {
        let (trigger, signal) = shutdown::channel();
        let platform = &stage.clinic.platform;
        let vault = Arc::clone(&stage.clinic.vault);
        let source = (Arc::clone(vault.clock()), Arc::clone(vault.random()));
        let control = control::router(platform.control_plane(), vault, TOKEN.to_owned(), None);
        let readiness = Readiness::new(Duration::from_secs(1));
        let metrics = Metrics::new("test", None).unwrap();
        let router = internal::router(readiness, &metrics, Some(control), source);
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener::internal(socket).unwrap();
        let handle = edge::serve(listener, router, EdgeLimits::default(), signal);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { address: handle.local_addr, http, handle, trigger }
    }

    async fn send(&self, authorization: Option<&str>, (method, path, body): (Method, &str, Value)) -> Answer {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = Answer::of(request).await;
        headers::check(&answer, path);
        answer
    }

    async fn close(self) {
        self.trigger.fire();
        self.handle.finished().await;
    }
}

/// Where a route is called: what is decided on is a role that somebody of acme asked for.
async fn path(stage: &Stage, route: &control::ControlRoute) -> String {
    if route.path.contains("{id}") {
        let request = stage.role_request(stage.scribe.person()).await;
        return route.path.replace("{slug}", "acme").replace("{id}", &request);
    }
    route.path.replace("{slug}", if route.path.contains("role-requests") { "acme" } else { "calm" })
}

fn body(name: &str) -> Value {
    match name {
        "control.create" => json!({
            "partner": {"slug": "northstar", "name": "Northstar Health"}, "slug": "dawn", "name": "Clinic dawn",
            "region": "eu-1", "hosts": ["dawn.localhost"],
        }),
        _ => Value::Null,
    }
}

/// Who comes to the internal listener: whoever has a session of a tenant has nothing here.
async fn callers(stage: &Stage) -> Vec<(&'static str, Option<String>)> {
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let mut callers = vec![
        ("nobody", None),
        ("empty token", bearer("")),
        ("token cut short", bearer(&TOKEN[1..])),
        ("token and more", bearer(&format!("{TOKEN}x"))),
        ("basic", Some(format!("Basic {TOKEN}"))),
        ("no scheme", Some(TOKEN.to_owned())),
    ];
    for actor in &stage.cast {
        let credential = stage.credential(actor).await;
        if let Some(token) = &credential.token {
            callers.push((actor.name, bearer(token)));
        }
    }
    callers.push(("operator", bearer(TOKEN)));
    callers
}

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_control_api_what_the_table_says() {
    let stage = Stage::open().await;
    let inside = Inside::open(&stage).await;
    let callers = callers(&stage).await;
    let mut table = Table::default();
    for route in control::routes() {
        let mut cells = Vec::new();
        let path = path(&stage, &route).await;
        for (name, authorization) in &callers {
            let before = stage.onlooker.directory().await;
            let request = (route.method.clone(), path.as_str(), body(route.name));
            let answer = inside.send(authorization.as_deref(), request).await;
            if !answer.status.is_success() {
                let after = stage.onlooker.directory().await;
                assert!(before == after, "{name} was refused by {} and changed something", route.name);
            }
            cells.push((*name, cell(&answer)));
        }
        let (method, success) = (route.method.clone(), route.success);
        table.add(&Row { name: route.name, variant: "", method, path: route.path, success }, &cells);
    }
    table.compare("control", "Who gets what from the control API on the internal listener.");
    takes_nothing_else(&stage, &inside).await;
    inside.close().await;
    stage.close().await;
}

/// What no route takes is refused, to the operator too, and what is open shows nobody's data.
async fn takes_nothing_else(stage: &Stage, inside: &Inside) {
    let operator = format!("Bearer {TOKEN}");
    let mut paths: Vec<(String, Vec<Method>)> =
        internal::OPEN_PATHS.iter().map(|path| ((*path).to_owned(), vec![Method::GET])).collect();
    for route in control::routes() {
        match paths.iter_mut().find(|(known, _)| *known == somewhere(&route)) {
            Some((_, methods)) => methods.push(route.method.clone()),
            None => paths.push((somewhere(&route), vec![route.method.clone()])),
        }
    }
    let before = stage.onlooker.directory().await;
    for (path, methods) in &paths {
        for name in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            if methods.contains(&method) {
                continue;
            }
            for authorization in [None, Some(operator.as_str())] {
                let answer = inside.send(authorization, (method.clone(), path, Value::Null)).await;
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{name} {path}: {}", answer.text);
            }
        }
    }
    assert!(stage.onlooker.directory().await == before);
    for path in internal::OPEN_PATHS {
        let answer = inside.send(None, (Method::GET, path, Value::Null)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        for id in [stage.own.id("Patient"), &stage.boss.person().id.to_string()] {
            assert!(!answer.text.contains(id), "{path}");
        }
    }
    let absent = inside.send(Some(&operator), (Method::GET, "/api/v1/openapi.json", Value::Null)).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

fn somewhere(route: &control::ControlRoute) -> String {
    route.path.replace("{slug}", "calm").replace("{id}", "01890000-0000-7000-8000-000000000000")
}
