//! Passkeys of the tests' own, of the kinds that policies tell apart, and the browser between them and the API.

#[path = "../../../crates/identity/src/passkey/tests/authenticator.rs"]
#[expect(dead_code, reason = "most of what it can do is for the vectors of the identity crate")]
mod authenticator;

use std::cell::RefCell;

use authenticator::{BE, Batch, Ceremony, SoftKey, UP, UV};
use carekeep_kernel::PersonId;
use serde_json::{Value, json};

pub(crate) use authenticator::Maker;

/// A passkey; the credential is made when it is registered.
pub(crate) struct Key {
    flags: u8,
    model: [u8; 16],
    batch: RefCell<Option<Batch>>,
    soft: RefCell<SoftKey>,
}

impl Key {
    fn new(flags: u8, model: [u8; 16], batch: Option<Batch>) -> Self {
        let mut id = [0; 32];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        let soft = RefCell::new(SoftKey::new(&id, &[]));
        Self { flags: UP | UV | flags, model, batch: RefCell::new(batch), soft }
    }

    /// One that its keeper can copy to other devices.
    pub(crate) fn synced() -> Self {
        Self::new(BE, [0; 16], None)
    }

    /// One that stays where it is.
    pub(crate) fn bound() -> Self {
        Self::new(0, [0; 16], None)
    }

    /// One whose maker vouches for it.
    pub(crate) fn attested(maker: &Maker, model: [u8; 16]) -> Self {
        Self::new(0, model, Some(maker.batch(model)))
    }

    /// Answers a registration that has begun.
    pub(crate) fn register(&self, begun: &Value, origin: &str) -> Value {
        let challenge = serde_json::from_value(json!({"publicKey": begun["options"]})).unwrap();
        let mut ceremony = Ceremony::registration(&challenge, origin);
        (ceremony.flags, ceremony.model) = (self.flags, self.model);
        ceremony.batch = self.batch.borrow_mut().take();
        ceremony.format = if ceremony.batch.is_some() { "packed" } else { "none" };
        let credential = ceremony.register(&self.soft.borrow());
        json!({"ceremony": begun["ceremony"], "credential": credential, "name": "key"})
    }

    /// Answers a use that has begun; `person` is whose key it is.
    pub(crate) fn sign(&self, begun: &Value, origin: &str, person: &str) -> Value {
        let challenge = serde_json::from_value(json!({"publicKey": begun["options"]})).unwrap();
        let mut ceremony = Ceremony::authentication(&challenge, origin);
        ceremony.flags = self.flags;
        let person: PersonId = person.parse().unwrap();
        self.soft.borrow_mut().handle = Some(person.as_bytes().to_vec());
        let credential = ceremony.sign(&self.soft.borrow());
        json!({"ceremony": begun["ceremony"], "credential": credential, "holder": begun["holder"]})
    }
}
