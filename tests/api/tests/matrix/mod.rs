//! BARS Z3, Z4 in small, and S2: every route against every kind of principal, on the running gateway.
//!
//! The routes come from the lists that the routers are made from, so that a new route without a case fails here
//! ([`coverage`]). What each principal gets is in `tests/api/matrix/*.txt`. A refused write leaves what is stored as it was,
//! and what is not the caller's answers like what is not there ([`foreign`]).
#![expect(clippy::panic, reason = "a case that cannot be made fails the test")]

mod apps;
mod beyond;
mod cast;
mod coverage;
mod federation;
mod fhir;
mod foreign;
mod headers;
mod hosts;
mod identity;
mod internal;
mod methods;
mod pages;
mod passkeys;
mod scim;
mod stage;
mod table;

use std::collections::BTreeSet;

use carekeep_gateway::api::{Endpoint, endpoints};
use reqwest::Method;

use cast::Credential;
use identity::Props;
use stage::{Call, Stage};
use table::{Row, Table, cell};

/// One row of the table, being played.
struct Scene<'a> {
    stage: &'a Stage,
    /// The answers that a `HEAD` was compared with.
    headed: BTreeSet<String>,
}

impl<'a> Scene<'a> {
    const fn new(stage: &'a Stage) -> Self {
        Self { stage, headed: BTreeSet::new() }
    }

    /// Sends a request as it is. A refused one must have changed nothing, whoever comes from the other tenant nothing there
    /// either. Gives the cell.
    async fn play(&mut self, credential: &Credential, call: &Call) -> String {
        if call.method == Method::GET {
            return self.read(credential, call).await;
        }
        let stage = self.stage;
        let (acme, home) = (stage.clinic.acme.id, credential.person.as_ref().map(|person| person.tenant));
        let before = stage.onlooker.tenants(&[acme]).await;
        let elsewhere = home.filter(|home| *home != acme);
        let before_there = stage.onlooker.tenants(elsewhere.as_slice()).await;
        let answer = stage.send(credential, call).await;
        stage.is_no_use(credential, call, &answer).await;
        if !answer.status.is_success() {
            let after = stage.onlooker.tenants(&[acme]).await;
            assert!(before == after, "{} was refused and changed something: {}", call.path, answer.text);
        }
        let after_there = stage.onlooker.tenants(elsewhere.as_slice()).await;
        assert!(before_there == after_there, "{} changed the caller's own tenant", call.path);
        cell(&answer)
    }

    /// A `HEAD` answers what the `GET` does, without its body (RFC 9110 section 9.3.2): tried for each answer once.
    async fn read(&mut self, credential: &Credential, call: &Call) -> String {
        let answer = self.stage.send(credential, call).await;
        self.stage.is_no_use(credential, call, &answer).await;
        let cell = cell(&answer);
        if self.headed.insert(cell.clone()) {
            let head = Call { method: Method::HEAD, ..call.clone() };
            let headed = self.stage.send(credential, &head).await;
            assert_eq!((headed.status, headed.text.as_str()), (answer.status, ""), "HEAD {}", call.path);
        }
        cell
    }
}

fn row(endpoint: &Endpoint, variant: &'static str) -> Row {
    Row {
        name: endpoint.name,
        variant,
        method: endpoint.method.clone(),
        path: endpoint.path,
        success: endpoint.success,
    }
}

/// The rows of the API's routes that one of the lists of cases covers.
fn rows(routes: &'static [(&'static str, &'static [&'static str])]) -> Vec<Row> {
    let of = |endpoint: &Endpoint| {
        let found = routes.iter().find(|(name, _)| *name == endpoint.name);
        let variants = found.map_or(&[][..], |(_, variants)| variants);
        variants.iter().map(|variant| row(endpoint, variant)).collect::<Vec<_>>()
    };
    endpoints().iter().flat_map(of).collect()
}

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_fhir_routes_what_the_table_says() {
    let stage = Stage::open().await;
    let mut credentials = Vec::new();
    for actor in &stage.cast {
        credentials.push((actor.name, stage.credential(actor).await));
    }
    let mut table = Table::default();
    for row in rows(fhir::ROUTES) {
        let (mut scene, mut cells) = (Scene::new(&stage), Vec::new());
        for (name, credential) in &credentials {
            let call = fhir::call(&stage, row.name, row.variant).await;
            cells.push((*name, scene.play(credential, &call).await));
        }
        table.add(&row, &cells);
    }
    table.compare("fhir", "Who gets what from the FHIR routes, about a chart of acme.");
    stage.close().await;
}

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_identity_routes_what_the_table_says() {
    let stage = Stage::open().await;
    let props = Props::new(&stage).await;
    let mut table = Table::default();
    for row in rows(identity::ROUTES) {
        let (mut scene, mut cells) = (Scene::new(&stage), Vec::new());
        for actor in &stage.cast {
            // Many of these end or change the session that they come with.
            let credential = stage.credential(actor).await;
            let call = props.call(row.name, row.variant, &credential).await;
            let call = Call { method: row.method.clone(), ..call };
            cells.push((actor.name, scene.play(&credential, &call).await));
        }
        table.add(&row, &cells);
    }
    table.compare("identity", "Who gets what from the routes of signing in, sessions and people, at acme.");
    stage.close().await;
}

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_routes_of_apps_what_the_table_says() {
    let stage = Stage::open().await;
    let mut table = Table::default();
    for row in rows(apps::ROUTES) {
        let (mut scene, mut cells) = (Scene::new(&stage), Vec::new());
        for actor in &stage.cast {
            let credential = stage.credential(actor).await;
            let call = apps::call(&stage, row.name, row.variant, &credential).await;
            cells.push((actor.name, scene.play(&credential, &call).await));
        }
        table.add(&row, &cells);
    }
    table.compare("apps", "Who gets what from the routes of apps and of OAuth, at acme.");
    stage.close().await;
}

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_routes_of_provisioning_what_the_table_says() {
    let stage = Stage::open().await;
    let mut table = Table::default();
    for row in rows(scim::ROUTES) {
        let (mut scene, mut cells) = (Scene::new(&stage), Vec::new());
        for actor in &stage.cast {
            let credential = stage.credential(actor).await;
            let call = scim::call(&stage, row.name, row.variant, &credential).await;
            cells.push((actor.name, scene.play(&credential, &call).await));
        }
        table.add(&row, &cells);
    }
    table.compare("scim", "Who gets what from the routes of provisioning, at acme.");
    stage.close().await;
}

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_routes_of_federation_what_the_table_says() {
    let stage = Stage::open().await;
    let provider = stage.clinic.provider();
    let mut table = Table::default();
    for row in rows(federation::ROUTES) {
        let (mut scene, mut cells) = (Scene::new(&stage), Vec::new());
        for actor in &stage.cast {
            let credential = stage.credential(actor).await;
            let call = federation::call(&stage, &provider, row.name, &credential).await;
            cells.push((actor.name, scene.play(&credential, &call).await));
        }
        table.add(&row, &cells);
    }
    table.compare("federation", "Who gets what from the routes of the identity provider, at acme.");
    stage.close().await;
}
