//! An authenticator and a browser in software, which lie on demand.
//!
//! [`Ceremony`] holds every value that goes into a response; a negative test changes one of them and signs the result
//! properly, so that a refusal is for that one reason.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::super::{
    CreationChallengeResponse, PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse,
};

pub(super) const UP: u8 = 1;
pub(super) const UV: u8 = 1 << 2;
pub(super) const BE: u8 = 1 << 3;
pub(super) const BS: u8 = 1 << 4;
const AT: u8 = 1 << 6;

/// A key in the authenticator.
pub(super) struct SoftKey {
    pub(super) id: Vec<u8>,
    pub(super) handle: Option<Vec<u8>>,
    pair: EcdsaKeyPair,
}

impl SoftKey {
    pub(super) fn new(id: &[u8], handle: &[u8]) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { id: id.to_vec(), handle: Some(handle.to_vec()), pair }
    }

    /// The public key as COSE (RFC 9053 section 7.1.1), with the algorithm's bytes as given.
    fn cose(&self, algorithm: &[u8]) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        let mut key = vec![0xa5, 0x01, 0x02, 0x03];
        key.extend(algorithm);
        key.extend([0x20, 0x01, 0x21, 0x58, 0x20]);
        key.extend(&point[1..33]);
        key.extend([0x22, 0x58, 0x20]);
        key.extend(&point[33..65]);
        key
    }
}

/// What goes into a response.
pub(super) struct Ceremony {
    pub(super) kind: &'static str,
    pub(super) challenge: Vec<u8>,
    pub(super) origin: String,
    pub(super) extra: Vec<(&'static str, Value)>,
    pub(super) rp_id: String,
    pub(super) flags: u8,
    pub(super) counter: u32,
    /// CBOR of the COSE algorithm: ES256 is -7.
    pub(super) algorithm: Vec<u8>,
    pub(super) format: &'static str,
    /// Bytes to cut off the attestation object or the authenticator data.
    pub(super) cut: usize,
    pub(super) rk: Option<bool>,
    pub(super) flip_signature: bool,
}

impl Ceremony {
    pub(super) fn registration(challenge: &CreationChallengeResponse, origin: &str) -> Self {
        let options = &challenge.public_key;
        Self::new("webauthn.create", &options.challenge, (origin, &options.rp.id))
    }

    pub(super) fn authentication(challenge: &RequestChallengeResponse, origin: &str) -> Self {
        let options = &challenge.public_key;
        Self::new("webauthn.get", &options.challenge, (origin, &options.rp_id))
    }

    fn new(kind: &'static str, challenge: &[u8], (origin, rp_id): (&str, &str)) -> Self {
        Self {
            kind,
            challenge: challenge.to_vec(),
            origin: origin.to_owned(),
            extra: Vec::new(),
            rp_id: rp_id.to_owned(),
            flags: UP | UV,
            counter: 0,
            algorithm: vec![0x26],
            format: "none",
            cut: 0,
            rk: Some(true),
            flip_signature: false,
        }
    }

    fn client_data(&self) -> Vec<u8> {
        let mut data = json!({
            "type": self.kind, "challenge": BASE64URL_NOPAD.encode(&self.challenge), "origin": self.origin,
        });
        for (name, value) in &self.extra {
            data[*name] = value.clone();
        }
        data.to_string().into_bytes()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// The answer of `navigator.credentials.create()`.
    pub(super) fn register(&self, key: &SoftKey) -> RegisterPublicKeyCredential {
        let mut data = self.authenticator_data(self.flags | AT);
        data.extend([0; 16]);
        data.extend(u16::try_from(key.id.len()).unwrap().to_be_bytes());
        data.extend(&key.id);
        data.extend(key.cose(&self.algorithm));
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x60 | u8::try_from(self.format.len()).unwrap());
        object.extend(self.format.as_bytes());
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend([0xa0, 0x68]);
        object.extend(b"authData");
        object.push(0x58);
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        object.truncate(object.len().saturating_sub(self.cut));
        serde_json::from_value(json!({
            "id": BASE64URL_NOPAD.encode(&key.id), "rawId": BASE64URL_NOPAD.encode(&key.id), "type": "public-key",
            "response": {
                "attestationObject": BASE64URL_NOPAD.encode(&object),
                "clientDataJSON": BASE64URL_NOPAD.encode(&self.client_data()),
            },
            "clientExtensionResults": self.rk.map_or(json!({}), |rk| json!({"credProps": {"rk": rk}})),
        }))
        .unwrap()
    }

    /// The answer of `navigator.credentials.get()`.
    pub(super) fn sign(&self, key: &SoftKey) -> PublicKeyCredential {
        let mut data = self.authenticator_data(self.flags);
        data.truncate(data.len() - self.cut);
        let client = self.client_data();
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, &client).as_ref());
        let mut signature = key.pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
        if self.flip_signature {
            *signature.last_mut().unwrap() ^= 1;
        }
        serde_json::from_value(json!({
            "id": BASE64URL_NOPAD.encode(&key.id), "rawId": BASE64URL_NOPAD.encode(&key.id), "type": "public-key",
            "response": {
                "authenticatorData": BASE64URL_NOPAD.encode(&data),
                "clientDataJSON": BASE64URL_NOPAD.encode(&client),
                "signature": BASE64URL_NOPAD.encode(&signature),
                "userHandle": key.handle.as_ref().map(|handle| BASE64URL_NOPAD.encode(handle)),
            },
            "clientExtensionResults": {},
        }))
        .unwrap()
    }
}
