//! How the routes of signing in, sessions and people are called, each with what makes it succeed for whom it may: a code
//! that the person's app shows, a passkey's answer, somebody to invite.

use carekeep_identity::{
    password::{HashSettings, PasswordHashes, PasswordUse},
    recovery,
    service::{
        Repository as _,
        repository::{FactorChange, NewFactor, TotpRecord, Written},
    },
    storage::PgRepository,
    totp::{self, Step, TotpSecret},
};
use carekeep_kernel::{CredentialId, SessionId};
use carekeep_policy::Role;
use carekeep_testkit::{AppSpec, Person, PersonSpec};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::PASSWORD;

use super::{
    cast::{Credential, State, Style},
    passkeys::Device,
    stage::{Body, Call, Stage},
};

/// Each identity route with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("sign_in.password", &[""]),
    ("sign_in.totp", &[""]),
    ("sign_in.recovery_code", &[""]),
    ("sign_in.passkey_begin", &[""]),
    ("sign_in.passkey_finish", &[""]),
    ("step_up.passkey_begin", &[""]),
    ("step_up.passkey_finish", &[""]),
    ("sign_out", &[""]),
    ("invites.accept", &[""]),
    ("enrol.password", &[""]),
    ("enrol.totp_begin", &[""]),
    ("enrol.totp_confirm", &[""]),
    ("enrol.passkey_begin", &[""]),
    ("enrol.passkey_finish", &[""]),
    ("enrol.recovery_codes", &[""]),
    ("me", &[""]),
    ("passkeys.list", &[""]),
    ("passkeys.rename", &[""]),
    ("passkeys.remove", &[""]),
    ("sessions.list", &[""]),
    ("sessions.revoke", &[""]),
    ("sessions.revoke_others", &[""]),
    ("devices.list", &[""]),
    ("devices.rename", &[""]),
    ("devices.confirm", &[""]),
    ("devices.forget", &[""]),
    ("notices.list", &[""]),
    ("notices.seen", &[""]),
    ("people.list", &["", "by id"]),
    ("people.weak_factors", &[""]),
    ("people.invite", &[""]),
    ("people.invite_again", &[""]),
    ("people.grant_role", &["at once", "to be approved"]),
    ("people.revoke_role", &[""]),
    ("people.suspend", &[""]),
    ("people.reinstate", &[""]),
    ("people.remove", &[""]),
    ("people.clear_devices", &[""]),
    ("role_requests.list", &[""]),
    ("role_requests.approve", &["", "for a program"]),
    ("role_requests.reject", &[""]),
    ("people.recover", &[""]),
    ("recoveries.list", &[""]),
    ("recoveries.approve", &["", "of a patient"]),
    ("recoveries.reject", &["", "of a patient"]),
    ("recovery.own", &[""]),
    ("recovery.cancel", &[""]),
    ("recovery.redeem", &[""]),
    ("settings.sign_in", &[""]),
    ("settings.put_sign_in", &[""]),
    ("care_team.assign", &[""]),
    ("care_team.relieve", &[""]),
    ("patients.invite", &[""]),
    ("patients.recover", &[""]),
    ("openapi", &[""]),
];

/// What identity's requests need besides the stage: somebody who is not of the cast, with a password and a passkey, and
/// the authenticator that everybody's passkeys are in.
pub(super) struct Props<'a> {
    pub(super) stage: &'a Stage,
    door: Person,
    device: Device,
}

const SECRET: [u8; 20] = [7; 20];

impl<'a> Props<'a> {
    pub(super) async fn new(stage: &'a Stage) -> Self {
        let spec = PersonSpec { roles: &[Role::Nurse], ..PersonSpec::default() };
        let door = stage.hiring().hire(stage.clinic.acme.id, "door", spec).await;
        let platform = &stage.clinic.platform;
        let hashes = PasswordHashes::new(HashSettings::default(), &*platform.random).unwrap();
        let (words, random) = (Zeroizing::new(PASSWORD.to_owned()), &*platform.random);
        let stored = hashes.choose(words, PasswordUse::WithSecondFactor, Vec::new(), random).await.unwrap();
        let props = Self { stage, door, device: Device::new(&stage.clinic.origin("acme")) };
        props.give(&props.door, NewFactor::Password(stored)).await;
        props.give_passkey(&props.door.clone()).await;
        for actor in &stage.cast {
            if actor.works_at(stage.clinic.acme.id) {
                props.give_passkey(actor.person()).await;
            }
        }
        props
    }

    async fn people(&self) -> PgRepository {
        PgRepository::open(&self.stage.clinic.vault, self.stage.clinic.acme.id).await.unwrap()
    }

    /// Writes a factor in a session of the person, which stays as it is. Whoever may not sign in has had it before.
    async fn give(&self, person: &Person, factor: NewFactor) {
        let (clinic, id) = (&self.stage.clinic, person.id);
        let bars = format!(
            "SELECT concat('suspended_at = ', coalesce(quote_literal(suspended_at), 'NULL'),
               ', left_at = ', coalesce(quote_literal(left_at), 'NULL')) FROM {{s}}.person WHERE id = '{id}'"
        );
        let bars = clinic.text("operations", &bars).await;
        let set = async |what: &str| {
            let sql = format!("UPDATE {{s}}.person SET {what} WHERE id = '{id}'");
            clinic.as_superuser("operations", &sql).await;
        };
        set("suspended_at = NULL, left_at = NULL").await;
        self.stage.session(person, State::Live).await;
        let people = self.people().await;
        let session = people.sessions(person.id).await.unwrap().remove(0);
        let old = session.token_hash;
        let change = FactorChange { factor, session, old, completes: false, ends_others: false };
        assert_eq!(people.write_factor(&change, self.stage.now()).await.unwrap(), Written::Done);
        set(&bars).await;
    }

    /// Registers a passkey, as its owner would.
    async fn give_passkey(&self, person: &Person) {
        if self.device.has_key_of(person) {
            return;
        }
        let session = self.stage.session(person, State::Live).await;
        let begun = self.stage.send(&session, &Call::post("/api/v1/enrol/passkey/begin", Value::Null)).await;
        let answer = self.device.register(&begun.expect(StatusCode::OK), Some(person));
        self.stage
            .send(&session, &Call::post("/api/v1/enrol/passkey/finish", answer))
            .await
            .expect(StatusCode::OK);
    }

    /// Puts the code generator of [`SECRET`] in the place of the person's own.
    async fn give_totp(&self, person: &Person) {
        let (people, platform) = (self.people().await, &self.stage.clinic.platform);
        let id = CredentialId::generate(&*platform.clock, &*platform.random);
        let record = TotpRecord { id, secret: TotpSecret::from_bytes(SECRET), last_used: None };
        people.put_unconfirmed_totp(person.id, &record, self.stage.now()).await.unwrap();
        self.give(person, NewFactor::Totp(id, Step(0))).await;
    }

    async fn give_recovery_code(&self, person: &Person) -> String {
        let platform = &self.stage.clinic.platform;
        let (codes, records) = recovery::generate(person.id, &*platform.clock, &*platform.random);
        self.give(person, NewFactor::RecoveryCodes(records)).await;
        codes[0].reveal().to_owned()
    }

    /// The person of a session, if acme knows them.
    fn known<'c>(&self, credential: &'c Credential) -> Option<&'c Person> {
        credential.person.as_ref().filter(|person| person.tenant == self.stage.clinic.acme.id)
    }

    /// The answer of a beginning that the session is allowed, or that of somebody else's.
    async fn begun(&self, credential: &Credential, path: &str) -> Value {
        let call = Call::post(path, Value::Null);
        let begun = self.stage.send(credential, &call).await;
        if begun.status.is_success() {
            return begun.body;
        }
        let other = self.stage.session(&self.door, State::Live).await;
        self.stage.send(&other, &call).await.expect(StatusCode::OK)
    }

    /// A fresh login name.
    fn login(&self) -> String {
        let platform = &self.stage.clinic.platform;
        format!("someone.{}", SessionId::generate(&*platform.clock, &*platform.random))
    }

    /// Somebody who was invited and has not come.
    async fn invited(&self) -> Value {
        let body = json!({"login": self.login(), "name": "New Comer", "roles": ["nurse"]});
        self.stage.done(&self.stage.boss, Call::post("/api/v1/people", body)).await
    }

    /// The request that this session makes, with what it needs made before.
    pub(super) async fn call(&self, name: &str, variant: &str, credential: &Credential) -> Call {
        match name.split_once('.').map_or(name, |(area, _)| area) {
            "sign_in" | "step_up" | "sign_out" => self.sign_in(name, credential).await,
            "invites" | "enrol" => self.enrol(name, credential).await,
            "me" => Call::get("/api/v1/me"),
            "openapi" => Call::get("/api/v1/openapi.json"),
            "sessions" => self.sessions(name, credential).await,
            "passkeys" => self.passkeys(name, credential).await,
            "devices" => self.devices(name, credential).await,
            "role_requests" => self.requests(name, variant).await,
            "settings" => settings(name),
            "recoveries" if variant == "of a patient" => self.patients_recovery(name).await,
            "recoveries" | "recovery" => self.recoveries(name, credential).await,
            "notices" => notices(name),
            _ => self.members(name, variant).await,
        }
    }

    async fn sign_in(&self, name: &str, credential: &Credential) -> Call {
        let begin = "/api/v1/sign-in/passkey/begin";
        match name {
            "sign_in.password" => {
                Call::post("/api/v1/sign-in/password", json!({"login": "door", "password": PASSWORD}))
            }
            "sign_in.totp" => {
                if let Some(person) = self.known(credential) {
                    self.give_totp(person).await;
                }
                let code = totp::code_at(&TotpSecret::from_bytes(SECRET), self.stage.now());
                Call::post("/api/v1/sign-in/totp", json!({ "code": code }))
            }
            "sign_in.recovery_code" => {
                let code = match self.known(credential) {
                    Some(person) => self.give_recovery_code(person).await,
                    None => "ABCD-EFGH-JKLM-NPQR".to_owned(),
                };
                Call::post("/api/v1/sign-in/recovery-code", json!({ "code": code }))
            }
            "sign_in.passkey_begin" => Call::new(Method::POST, begin, Body::None),
            "sign_in.passkey_finish" => {
                let begun =
                    self.stage.send(&Stage::nobody(), &Call::new(Method::POST, begin, Body::None)).await;
                let begun = begun.expect(StatusCode::OK);
                let body = self.device.sign(&begun, &self.door, true);
                let holder = begun["holder"].as_str().unwrap().to_owned();
                Call { holder: Some(holder), ..Call::post("/api/v1/sign-in/passkey/finish", body) }
            }
            "step_up.passkey_begin" => Call::new(Method::POST, "/api/v1/step-up/passkey/begin", Body::None),
            "step_up.passkey_finish" => {
                let begun = self.begun(credential, "/api/v1/step-up/passkey/begin").await;
                let owner = self.known(credential).filter(|person| self.device.has_key_of(person));
                let body = self.device.sign(&begun, owner.unwrap_or(&self.door), false);
                Call::post("/api/v1/step-up/passkey/finish", body)
            }
            "sign_out" => Call::new(Method::POST, "/api/v1/sign-out", Body::None),
            other => panic!("{other} has no request"),
        }
    }

    async fn enrol(&self, name: &str, credential: &Credential) -> Call {
        match name {
            "invites.accept" => {
                Call::post("/api/v1/invites/accept", json!({"token": self.invited().await["token"]}))
            }
            "enrol.password" => {
                Call::post("/api/v1/enrol/password", json!({"password": "walrus copper almanac"}))
            }
            "enrol.totp_begin" => Call::new(Method::POST, "/api/v1/enrol/totp/begin", Body::None),
            "enrol.totp_confirm" => {
                let begun = self.begun(credential, "/api/v1/enrol/totp/begin").await;
                let secret = data_encoding::BASE32_NOPAD.decode(begun["secret"].as_str().unwrap().as_bytes());
                let secret = TotpSecret::from_bytes(secret.unwrap().try_into().unwrap());
                let code = totp::code_at(&secret, self.stage.now());
                Call::post("/api/v1/enrol/totp/confirm", json!({ "code": code }))
            }
            "enrol.passkey_begin" => Call::new(Method::POST, "/api/v1/enrol/passkey/begin", Body::None),
            "enrol.passkey_finish" => {
                let begun = self.begun(credential, "/api/v1/enrol/passkey/begin").await;
                Call::post("/api/v1/enrol/passkey/finish", self.device.register(&begun, None))
            }
            "enrol.recovery_codes" => Call::new(Method::POST, "/api/v1/enrol/recovery-codes", Body::None),
            other => panic!("{other} has no request"),
        }
    }

    /// One more passkey of the person: what they have besides makes two factors without it.
    async fn spare_passkey(&self, person: &Person) -> CredentialId {
        let (people, platform) = (self.people().await, &self.stage.clinic.platform);
        let mut spare = people.passkeys(person.id).await.unwrap().remove(0);
        spare.id = CredentialId::generate(&*platform.clock, &*platform.random);
        spare.credential_id = spare.id.as_uuid().as_bytes().to_vec();
        let id = spare.id;
        self.give(person, NewFactor::Passkey(Box::new(spare))).await;
        id
    }

    async fn passkeys(&self, name: &str, credential: &Credential) -> Call {
        if name == "passkeys.list" {
            return Call::get("/api/v1/passkeys");
        }
        let owner = self.known(credential).filter(|person| self.device.has_key_of(person));
        let path = format!("/api/v1/passkeys/{}", self.spare_passkey(owner.unwrap_or(&self.door)).await);
        match name {
            "passkeys.rename" => Call::new(Method::PUT, path, Body::Json(json!({"name": "Blue key"}))),
            "passkeys.remove" => Call::new(Method::DELETE, path, Body::None),
            other => panic!("{other} has no request"),
        }
    }

    async fn devices(&self, name: &str, credential: &Credential) -> Call {
        if name == "devices.list" {
            return Call::get("/api/v1/devices");
        }
        let door = &self.door;
        let session = credential.session.unwrap_or(door.session);
        let (device, token) = self.stage.device(self.known(credential).unwrap_or(door), session).await;
        let path = format!("/api/v1/devices/{device}");
        match name {
            "devices.rename" => Call::new(Method::PUT, path, Body::Json(json!({"name": "Blue phone"}))),
            "devices.confirm" => {
                let call = Call::new(Method::POST, format!("{path}/confirm"), Body::None);
                match credential.style {
                    Style::Program | Style::Both => call.with("carekeep-device", token),
                    Style::Browser | Style::CrossSite => {
                        call.with("cookie", format!("__Host-carekeep-device={token}"))
                    }
                }
            }
            "devices.forget" => Call::new(Method::DELETE, path, Body::None),
            other => panic!("{other} has no request"),
        }
    }

    async fn sessions(&self, name: &str, credential: &Credential) -> Call {
        match name {
            "sessions.list" => Call::get("/api/v1/sessions"),
            "sessions.revoke" => {
                let owner = self.known(credential).unwrap_or(&self.door);
                let other = self.stage.session(owner, State::Live).await.session.unwrap();
                Call::new(Method::DELETE, format!("/api/v1/sessions/{other}"), Body::None)
            }
            "sessions.revoke_others" => Call::new(Method::POST, "/api/v1/sessions/revoke-others", Body::None),
            other => panic!("{other} has no request"),
        }
    }

    /// A role that needs approval, asked for by the administrator for somebody who has joined.
    async fn requested(&self) -> Value {
        let spec = PersonSpec { roles: &[Role::Auditor], ..PersonSpec::default() };
        let person = self.stage.hiring().hire(self.stage.clinic.acme.id, &self.login(), spec).await.id;
        let path = format!("/api/v1/people/{person}/roles/privacy_officer");
        self.stage.done(&self.stage.boss, Call::new(Method::PUT, path, Body::None)).await["request"].clone()
    }

    /// That a program may read charts, asked for by the administrator who did not register it.
    async fn reading_requested(&self) -> Value {
        let acme = self.stage.clinic.acme.id;
        let account = self.stage.somebody(acme, &[Role::ServiceAccount]).await;
        let spec = AppSpec { scopes: "system/*.rs", own: true, bound: false, ..AppSpec::default() };
        self.stage.clinic.platform.app(&account, spec).await;
        let path = format!("/api/v1/people/{}/roles/records_reader", account.id);
        self.stage.done(&self.stage.boss, Call::new(Method::PUT, path, Body::None)).await["request"].clone()
    }

    async fn requests(&self, name: &str, variant: &str) -> Call {
        let Some((_, decision @ ("approve" | "reject"))) = name.split_once('.') else {
            return Call::get("/api/v1/role-requests");
        };
        let program = variant == "for a program";
        let made = if program { self.reading_requested().await } else { self.requested().await };
        let id = made["id"].as_str().unwrap().to_owned();
        Call::new(Method::POST, format!("/api/v1/role-requests/{id}/{decision}"), Body::None)
    }

    /// Somebody of staff who has joined, whose account can be recovered.
    async fn colleague(&self) -> Person {
        let spec = PersonSpec { roles: &[Role::Auditor], ..PersonSpec::default() };
        self.stage.hiring().hire(self.stage.clinic.acme.id, &self.login(), spec).await
    }

    /// That the patient of a chart, whose account is set up, stands before somebody.
    async fn recover_patient(&self) -> Call {
        let patient = self.stage.newcomer().await;
        let id = patient.parse().unwrap();
        let spec = PersonSpec { roles: &[Role::Patient], patient: Some(id), ..PersonSpec::default() };
        self.stage.hiring().hire(self.stage.clinic.acme.id, &self.login(), spec).await;
        Call::post(
            format!("/api/v1/patients/{patient}/account/recovery"),
            json!({"identified_by": "photo_id"}),
        )
    }

    async fn patients_recovery(&self, name: &str) -> Call {
        let begun = self.stage.done(&self.stage.scribe, self.recover_patient().await).await;
        let (id, decision) = (&begun["recovery"]["id"], name.trim_start_matches("recoveries."));
        let path = format!("/api/v1/recoveries/{}/{decision}", id.as_str().unwrap());
        Call::new(Method::POST, path, Body::None)
    }

    async fn recoveries(&self, name: &str, credential: &Credential) -> Call {
        let begun =
            |person: String| Call::new(Method::POST, format!("/api/v1/people/{person}/recovery"), Body::None);
        match name.split_once('.').unwrap() {
            ("recoveries", "list") => Call::get("/api/v1/recoveries"),
            ("recoveries", decision) => {
                let person = self.colleague().await.id;
                let made = self.stage.done(&self.stage.boss, begun(person.to_string())).await;
                let id = made["recovery"]["id"].as_str().unwrap();
                Call::new(Method::POST, format!("/api/v1/recoveries/{id}/{decision}"), Body::None)
            }
            (_, "own") => Call::get("/api/v1/recovery"),
            (_, "cancel") => {
                // One that is under way, of whoever asks, if they work here.
                if let Some(person) = self.known(credential) {
                    let boss = self.stage.credential(&self.stage.boss).await;
                    self.stage.send(&boss, &begun(person.id.to_string())).await;
                }
                Call::new(Method::DELETE, "/api/v1/recovery", Body::None)
            }
            (_, "redeem") => {
                let person = self.colleague().await.id;
                let made = self.stage.done(&self.stage.boss, begun(person.to_string())).await;
                let id = made["recovery"]["id"].as_str().unwrap();
                let approve = Call::new(Method::POST, format!("/api/v1/recoveries/{id}/approve"), Body::None);
                let approved = self.stage.done(self.stage.actor("tenant admin"), approve).await;
                // The hold is over; the clock stays, for the sessions of the others.
                let over = "UPDATE {s}.account_recovery SET opens_at = approved_at WHERE ended_at IS NULL";
                self.stage.clinic.as_superuser("operations", over).await;
                let halves = json!({"token": approved["token"], "code": made["code"]});
                Call::post("/api/v1/recovery/redeem", halves)
            }
            (_, other) => panic!("{other} has no request"),
        }
    }

    async fn members(&self, name: &str, variant: &str) -> Call {
        match name {
            "people.recover" => {
                let path = format!("/api/v1/people/{}/recovery", self.colleague().await.id);
                Call::new(Method::POST, path, Body::None)
            }
            "people.list" if variant == "by id" => {
                Call::get(format!("/api/v1/people?ids={}", self.colleague().await.id))
            }
            "people.list" => Call::get("/api/v1/people?limit=200"),
            "people.weak_factors" => Call::get("/api/v1/people/weak-factors?limit=200"),
            "people.invite" => {
                let body = json!({"login": self.login(), "name": "New Comer", "roles": ["nurse"]});
                Call::post("/api/v1/people", body)
            }
            "people.invite_again" => {
                let person = self.invited().await["person"].as_str().unwrap().to_owned();
                Call::post(format!("/api/v1/people/{person}/invite"), json!({"roles": ["nurse"]}))
            }
            "people.grant_role" | "people.revoke_role" => {
                let person = self.invited().await["person"].as_str().unwrap().to_owned();
                let role = if variant == "to be approved" { "tenant_admin" } else { "reception" };
                let method = if name == "people.grant_role" { Method::PUT } else { Method::DELETE };
                Call::new(method, format!("/api/v1/people/{person}/roles/{role}"), Body::None)
            }
            "people.suspend" | "people.reinstate" => {
                let person = self.invited().await["person"].as_str().unwrap().to_owned();
                let what = name.trim_start_matches("people.");
                Call::new(Method::POST, format!("/api/v1/people/{person}/{what}"), Body::None)
            }
            "people.clear_devices" => {
                let person = self.invited().await["person"].as_str().unwrap().to_owned();
                Call::new(Method::DELETE, format!("/api/v1/people/{person}/devices"), Body::None)
            }
            "people.remove" => {
                let person = self.invited().await["person"].as_str().unwrap().to_owned();
                Call::new(Method::DELETE, format!("/api/v1/people/{person}"), Body::None)
            }
            "care_team.assign" | "care_team.relieve" => {
                let (patient, person) = (self.stage.own.id("Patient"), self.door.id);
                let path = format!("/api/v1/patients/{patient}/care-team/{person}");
                let method = if name == "care_team.assign" { Method::PUT } else { Method::DELETE };
                Call::new(method, path, Body::None)
            }
            "patients.recover" => self.recover_patient().await,
            "patients.invite" => {
                let body = json!({"login": self.login(), "name": "Pat Ient"});
                Call::post(format!("/api/v1/patients/{}/account", self.stage.newcomer().await), body)
            }
            other => panic!("{other} has no request"),
        }
    }
}

fn settings(name: &str) -> Call {
    let path = "/api/v1/settings/sign-in";
    match name {
        "settings.sign_in" => Call::get(path),
        "settings.put_sign_in" => {
            Call::new(Method::PUT, path, Body::Json(crate::support::settings(&json!({}))))
        }
        other => panic!("{other} has no request"),
    }
}

fn notices(name: &str) -> Call {
    match name {
        "notices.list" => Call::get("/api/v1/notices"),
        "notices.seen" => Call::post("/api/v1/notices/seen", json!({"until": uuid::Uuid::max()})),
        other => panic!("{other} has no request"),
    }
}
