//! How the routes of the tenant's identity provider are called, and of being linked to it.

use carekeep_identity::storage::PgRepository;
use reqwest::Method;
use serde_json::json;

use crate::provider::{CLIENT, Provider};

use super::{
    cast::Credential,
    stage::{Body, Call, Stage},
};

/// Each route with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("federation.start", &[""]),
    ("federation.callback", &[""]),
    ("federation.read", &[""]),
    ("federation.link", &[""]),
    ("federation.unlink", &[""]),
    ("settings.identity_provider", &[""]),
    ("settings.put_identity_provider", &[""]),
    ("settings.agree_identity_provider", &[""]),
    ("settings.remove_identity_provider", &[""]),
];

const SETTINGS: &str = "/api/v1/settings/identity-provider";

const AGREE: &str = "/api/v1/settings/identity-provider/agree";

fn put(provider: &Provider) -> Call {
    let body = json!({"issuer": provider.issuer, "client_id": CLIENT, "label": "Acme account"});
    Call::new(Method::PUT, SETTINGS, Body::Json(body))
}

/// The request that this session makes, with what it needs made before: a provider, and that the person is linked.
pub(super) async fn call(stage: &Stage, provider: &Provider, name: &str, credential: &Credential) -> Call {
    let acme = stage.clinic.acme.id;
    let people = PgRepository::open(&stage.clinic.vault, acme).await.unwrap();
    if people.provider().await.unwrap().is_none() {
        stage.done(&stage.boss, put(provider)).await;
    }
    let own = "/api/v1/federation";
    match name {
        "federation.start" => Call::get("/federation/start"),
        "federation.callback" => {
            Call::get("/federation/callback?code=c&state=00000000-0000-4000-8000-000000000000")
        }
        "federation.read" => Call::get(own),
        "federation.link" => Call::new(Method::POST, own, Body::None),
        "federation.unlink" => {
            if let Some(person) = credential.person.as_ref().filter(|person| person.tenant == acme) {
                let linked = format!(
                    "INSERT INTO {{s}}.federated_account (person, subject_token, sealed_subject, linked_at, confirmed_at)
                     VALUES ('{id}', hashtext('{id}'), '', now(), now()) ON CONFLICT DO NOTHING",
                    id = person.id
                );
                stage.clinic.as_superuser("operations", &linked).await;
            }
            Call::new(Method::DELETE, own, Body::None)
        }
        "settings.identity_provider" => Call::get(SETTINGS),
        "settings.put_identity_provider" => put(provider),
        "settings.agree_identity_provider" => {
            // What somebody agreed to stays agreed to: another one.
            stage.done(&stage.boss, Call::new(Method::DELETE, SETTINGS, Body::None)).await;
            stage.done(&stage.boss, put(provider)).await;
            let set = stage.done(&stage.boss, Call::get(SETTINGS)).await;
            Call::new(Method::POST, AGREE, Body::Json(json!({"id": set["provider"]["id"]})))
        }
        "settings.remove_identity_provider" => Call::new(Method::DELETE, SETTINGS, Body::None),
        other => panic!("{other} has no request"),
    }
}
