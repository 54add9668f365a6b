//! An authenticator and a browser in software, which lie on demand. The tests of the HTTP API include this file too.
//!
//! [`Ceremony`] holds every value that goes into a response; a negative test changes one of them and signs the result
//! properly, so that a refusal is for that one reason.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyUsagePurpose};
use serde_json::{Value, json};

use webauthn_rs::prelude::{
    CreationChallengeResponse, PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse,
};

pub(crate) const UP: u8 = 1;
pub(crate) const UV: u8 = 1 << 2;
pub(crate) const BE: u8 = 1 << 3;
pub(crate) const BS: u8 = 1 << 4;
const AT: u8 = 1 << 6;

/// A key in the authenticator.
pub(crate) struct SoftKey {
    pub(crate) id: Vec<u8>,
    pub(crate) handle: Option<Vec<u8>>,
    pair: EcdsaKeyPair,
}

impl SoftKey {
    pub(crate) fn new(id: &[u8], handle: &[u8]) -> Self {
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
pub(crate) struct Ceremony {
    pub(crate) kind: &'static str,
    pub(crate) challenge: Vec<u8>,
    pub(crate) origin: String,
    pub(crate) extra: Vec<(&'static str, Value)>,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    /// CBOR of the COSE algorithm: ES256 is -7.
    pub(crate) algorithm: Vec<u8>,
    pub(crate) format: &'static str,
    /// The model that it says it is.
    pub(crate) model: [u8; 16],
    /// Who vouches for the model.
    pub(crate) batch: Option<Batch>,
    /// Bytes to cut off the attestation object or the authenticator data.
    pub(crate) cut: usize,
    pub(crate) rk: Option<bool>,
    pub(crate) flip_signature: bool,
}

impl Ceremony {
    pub(crate) fn registration(challenge: &CreationChallengeResponse, origin: &str) -> Self {
        let options = &challenge.public_key;
        Self::new("webauthn.create", &options.challenge, (origin, &options.rp.id))
    }

    pub(crate) fn authentication(challenge: &RequestChallengeResponse, origin: &str) -> Self {
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
            model: [0; 16],
            batch: None,
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
    pub(crate) fn register(&self, key: &SoftKey) -> RegisterPublicKeyCredential {
        let mut data = self.authenticator_data(self.flags | AT);
        data.extend(self.model);
        data.extend(u16::try_from(key.id.len()).unwrap().to_be_bytes());
        data.extend(&key.id);
        data.extend(key.cose(&self.algorithm));
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x60 | u8::try_from(self.format.len()).unwrap());
        object.extend(self.format.as_bytes());
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend(self.statement(&data));
        object.push(0x68);
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

    /// The attestation statement: packed with a certificate (WebAuthn section 8.2), or empty.
    fn statement(&self, authenticator_data: &[u8]) -> Vec<u8> {
        let Some(batch) = &self.batch else { return vec![0xa0] };
        let mut signed = authenticator_data.to_vec();
        signed.extend(digest(&SHA256, &self.client_data()).as_ref());
        let signature = batch.pair.sign(&SystemRandom::new(), &signed).unwrap();
        let mut statement = vec![0xa3, 0x63];
        statement.extend(b"alg");
        statement.extend([0x26, 0x63]);
        statement.extend(b"sig");
        statement.extend(bytes(signature.as_ref()));
        statement.push(0x63);
        statement.extend(b"x5c");
        statement.push(0x81);
        statement.extend(bytes(&batch.certificate));
        statement
    }

    /// The answer of `navigator.credentials.get()`.
    pub(crate) fn sign(&self, key: &SoftKey) -> PublicKeyCredential {
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

/// A CBOR byte string of up to 65,535 bytes.
fn bytes(content: &[u8]) -> Vec<u8> {
    let mut string = vec![0x59];
    string.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    string.extend(content);
    string
}

/// The key and certificate that a maker puts into all authenticators of one batch, and the model that it vouches for.
pub(crate) struct Batch {
    certificate: Vec<u8>,
    pair: EcdsaKeyPair,
}

/// A maker of authenticators with a certificate authority of its own.
pub(crate) struct Maker {
    issuer: Issuer<'static, rcgen::KeyPair>,
    pub(crate) root: String,
}

impl Maker {
    pub(crate) fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// A batch whose certificate says that it is of this model (section 8.2.1).
    pub(crate) fn batch(&self, model: [u8; 16]) -> Batch {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let subject = [
            (DnType::CountryName, "SE"),
            (DnType::OrganizationName, "Soft Keys"),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Batch 1"),
        ];
        for (kind, value) in subject {
            params.distinguished_name.push(kind, value);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        let octets = [&[0x04, 0x10][..], &model].concat();
        let model = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 45_724, 1, 1, 4], octets);
        params.custom_extensions.push(model);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
        Batch { certificate, pair }
    }
}
