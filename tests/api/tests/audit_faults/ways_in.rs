//! What the requests about factors, devices and recoveries need to be asked again and again.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::Ask;
use crate::{
    soft_keys::Key,
    support::{Answer, Clinic, Member},
};

const NONE: Value = Value::Null;

/// What is asked for, by route.
pub(super) const ASKS: [Ask; 10] = [
    ("enrol.password", ""),
    ("enrol.totp_confirm", ""),
    ("enrol.passkey_finish", ""),
    ("enrol.recovery_codes", ""),
    ("devices.confirm", ""),
    ("devices.forget", ""),
    ("recoveries.approve", ""),
    ("recoveries.reject", ""),
    ("recovery.cancel", ""),
    ("recovery.redeem", ""),
];

/// Of everything that lets somebody in, what there is; last uses and attempts under way are not in it.
const FINGERPRINT: &str = "SELECT md5(concat_ws('|',
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.passkey t),
    (SELECT string_agg(t::text, ',' ORDER BY person) FROM {s}.password t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.totp t WHERE confirmed_at IS NOT NULL),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.recovery_code t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.device t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.account_recovery t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.role_grant t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.invite t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.notice t),
    (SELECT string_agg(t::text, ',' ORDER BY id) FROM {s}.oauth_grant t),
    (SELECT string_agg(concat(id, token_hash, revoked_at), ',' ORDER BY id) FROM {s}.session t)))";

/// The people whose ways in are changed, each by one request.
pub(super) struct WaysIn {
    second: Member,
    members: BTreeMap<&'static str, Member>,
    /// Recoveries under way, by request; a device to confirm and one to forget.
    ids: BTreeMap<&'static str, String>,
    redeem: Value,
    asked: usize,
}

impl WaysIn {
    pub(super) async fn set(clinic: &Clinic, admin: &mut Member) -> Self {
        let second = clinic.member(admin, "second.admin", &["tenant_admin"]).await;
        let mut members = BTreeMap::new();
        for (route, _) in ASKS {
            let login = route.replace('_', ".");
            let member = clinic.member_from(admin, &login, &["auditor"], Some("new")).await;
            members.insert(route, member);
        }
        Self { second, members, ids: BTreeMap::new(), redeem: NONE, asked: 0 }
    }

    /// What the last round used up is there again.
    pub(super) async fn renew(&mut self, clinic: &Clinic, admin: &mut Member) {
        for route in ["recoveries.approve", "recoveries.reject", "recovery.cancel", "recovery.redeem"] {
            let path = format!("/api/v1/people/{}/recovery", self.members[route].id);
            let begun = admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
            let id = begun["recovery"]["id"].as_str().unwrap().to_owned();
            if route == "recovery.redeem" {
                let path = format!("/api/v1/recoveries/{id}/approve");
                let approved = self.second.program.post(&path, &NONE).await.expect(StatusCode::OK);
                self.redeem = json!({"token": approved["token"], "code": begun["code"]});
            }
            self.ids.insert(route, id);
        }
        let open = "UPDATE {s}.account_recovery SET opens_at = approved_at WHERE approved_at IS NOT NULL";
        clinic.as_superuser("operations", open).await;
        for route in ["devices.confirm", "devices.forget"] {
            let id = format!("00000000-0000-7000-8000-{:012}", self.asked);
            self.asked += 1;
            let person = &self.members[route].id;
            let add = format!(
                "INSERT INTO {{s}}.device (id, person, token_hash, name, first_seen_at, last_seen_at)
                 VALUES ('{id}', '{person}', sha256('{id}'), 'spare', now(), now())"
            );
            clinic.as_superuser("operations", &add).await;
            self.ids.insert(route, id);
        }
    }

    /// The request, after what has to be asked for before it.
    pub(super) async fn request(&mut self, clinic: &Clinic, route: &'static str) -> RequestBuilder {
        self.asked += 1;
        let number = self.asked;
        let id = self.ids.get(route).cloned().unwrap_or_default();
        let decider = matches!(route, "recoveries.approve" | "recoveries.reject");
        let member = if decider { &mut self.second } else { self.members.get_mut(route).unwrap() };
        let program = &mut member.program;
        let (path, body) = match route {
            "enrol.password" => {
                (route_path(route), json!({"password": format!("walrus copper almanac {number}")}))
            }
            "enrol.totp_confirm" => {
                let shown = program.post("/api/v1/enrol/totp/begin", &NONE).await.expect(StatusCode::OK);
                let secret = data_encoding::BASE32_NOPAD.decode(shown["secret"].as_str().unwrap().as_bytes());
                let code = clinic.code(&secret.unwrap().try_into().unwrap());
                ("/api/v1/enrol/totp/confirm".to_owned(), json!({"code": code}))
            }
            "enrol.passkey_finish" => {
                let begun = program.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
                let made = Key::bound().register(&begun, &clinic.origin("acme"));
                ("/api/v1/enrol/passkey/finish".to_owned(), made)
            }
            "enrol.recovery_codes" => ("/api/v1/enrol/recovery-codes".to_owned(), NONE),
            "devices.confirm" => (format!("/api/v1/devices/{id}/confirm"), NONE),
            "devices.forget" => (format!("/api/v1/devices/{id}"), NONE),
            "recoveries.approve" => (format!("/api/v1/recoveries/{id}/approve"), NONE),
            "recoveries.reject" => (format!("/api/v1/recoveries/{id}/reject"), NONE),
            "recovery.cancel" => ("/api/v1/recovery".to_owned(), NONE),
            "recovery.redeem" => ("/api/v1/recovery/redeem".to_owned(), self.redeem.clone()),
            other => panic!("{other} is no request here"),
        };
        let deletes = matches!(route, "devices.forget" | "recovery.cancel");
        let method = if deletes { Method::DELETE } else { Method::POST };
        let request = program.http.request(method, format!("{}{path}", program.base));
        let request = request.header("carekeep-token", "body");
        let request = match &program.device {
            Some(device) => request.header("carekeep-device", device),
            None => request,
        };
        let request = match &program.token {
            Some(token) if route != "recovery.redeem" => request.bearer_auth(token),
            _ => request,
        };
        if body.is_null() { request } else { request.json(&body) }
    }

    /// The next token of a session that a request has taken on.
    pub(super) fn keep(&mut self, route: &'static str, answer: &Answer) {
        let taken_on = route.starts_with("enrol.") && answer.status.is_success();
        if let Some(token) = answer.body["token"].as_str().filter(|_| taken_on) {
            self.members.get_mut(route).unwrap().program.token = Some(token.to_owned());
        }
    }
}

fn route_path(route: &str) -> String {
    format!("/api/v1/{}", route.replace('.', "/"))
}

pub(super) async fn fingerprint(clinic: &Clinic) -> String {
    clinic.text("operations", FINGERPRINT).await
}
