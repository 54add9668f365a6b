//! An authenticator in software that is not ours, and the browser between it and the API.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use carekeep_testkit::Person;
use serde_json::{Value, json};
use webauthn_authenticator_rs::{WebauthnAuthenticator, softpasskey::SoftPasskey};
use webauthn_rs::prelude::Url;
use webauthn_rs_proto::{AllowCredentials, CreationChallengeResponse, RequestChallengeResponse};

/// Holds the passkeys of everybody.
pub(super) struct Device {
    origin: Url,
    inner: Mutex<Inner>,
}

struct Inner {
    authenticator: SoftPasskey,
    keys: BTreeMap<String, Vec<u8>>,
}

impl Device {
    pub(super) fn new(origin: &str) -> Self {
        let inner = Inner { authenticator: SoftPasskey::new(true), keys: BTreeMap::new() };
        Self { origin: Url::parse(origin).unwrap(), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_key_of(&self, person: &Person) -> bool {
        self.inner().keys.contains_key(&person.id.to_string())
    }

    /// Answers a registration that has begun; `owner` is remembered with the key.
    pub(super) fn register(&self, begun: &Value, owner: Option<&Person>) -> Value {
        let mut challenge: CreationChallengeResponse =
            serde_json::from_value(json!({"publicKey": begun["options"]})).unwrap();
        // It has no store for discoverable keys.
        challenge.public_key.authenticator_selection.as_mut().unwrap().require_resident_key = false;
        let mut inner = self.inner();
        let made = inner.authenticator.do_registration(self.origin.clone(), challenge).unwrap();
        if let Some(owner) = owner {
            inner.keys.insert(owner.id.to_string(), made.raw_id.to_vec());
        }
        json!({"ceremony": begun["ceremony"], "credential": made, "name": "phone"})
    }

    /// Answers a use that has begun with the owner's key; `discovered` when no key was asked for by name.
    pub(super) fn sign(&self, begun: &Value, owner: &Person, discovered: bool) -> Value {
        let mut challenge: RequestChallengeResponse =
            serde_json::from_value(json!({"publicKey": begun["options"]})).unwrap();
        let mut inner = self.inner();
        let id = inner.keys[&owner.id.to_string()].clone();
        challenge.public_key.allow_credentials =
            vec![AllowCredentials { type_: "public-key".to_owned(), id, transports: None }];
        let mut answer = inner.authenticator.do_authentication(self.origin.clone(), challenge).unwrap();
        if discovered {
            answer.response.user_handle = Some(owner.id.as_bytes().to_vec());
        }
        json!({"ceremony": begun["ceremony"], "credential": answer})
    }
}
