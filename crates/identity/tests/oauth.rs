//! BARS I7: forty and more mutations of what a program proves itself with, and of what tells an app who signed in. None is
//! accepted; the untouched original, before each of them, is.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::time::Duration;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    },
};
use carekeep_identity::oauth::{
    assertion::{self, AssertionId, Expected},
    id_token::{Claims, SigningKey},
    jws::{self, KeySetError, PublicKey},
};
use carekeep_kernel::Timestamp;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

const CLIENT: &str = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e";
const AUDIENCE: &str = "https://acme.example/oauth/token";

fn now() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

fn seconds() -> i64 {
    1_700_000_000
}

struct Signer {
    ec: EcdsaKeyPair,
    rsa: KeyPair,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

impl Signer {
    fn new() -> Self {
        Self {
            ec: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            rsa: KeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn set(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        // The public key of RSA, by way of the published form of id tokens' keys.
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&self.rsa).unwrap();
        let published = SigningKey::open("rsa".to_owned(), pkcs8.as_ref()).unwrap().public_jwk().unwrap();
        json!({"keys": [
            {"kty": "EC", "crv": "P-384", "kid": "ec", "alg": "ES384", "x": b64(&point[1..49]), "y": b64(&point[49..])},
            {"kty": "RSA", "kid": "rsa", "n": published["n"], "e": published["e"]},
        ]})
    }

    fn keys(&self) -> Vec<PublicKey> {
        jws::key_set(&self.set()).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let random = SystemRandom::new();
        let signature = if header["alg"].as_str().is_some_and(|alg| alg.starts_with("RS")) {
            let scheme = if header["alg"] == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PKCS1_SHA384 };
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(scheme, &random, message.as_bytes(), &mut signature).unwrap();
            signature
        } else {
            self.ec.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
        };
        format!("{message}.{}", b64(signature))
    }
}

fn header() -> Value {
    json!({"alg": "ES384", "kid": "ec", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": CLIENT, "sub": CLIENT, "aud": AUDIENCE, "exp": seconds() + 240, "iat": seconds(), "jti": "a1"})
}

fn with(mut value: Value, name: &str, to: Value) -> Value {
    if to.is_null() {
        value.as_object_mut().unwrap().remove(name);
    } else {
        value[name] = to;
    }
    value
}

fn check(text: &str, keys: &[PublicKey]) -> Option<AssertionId> {
    assertion::check(text, keys, Expected { client: CLIENT, audience: AUDIENCE, now: now() }).ok()
}

/// Headers and claims that are signed by the right key and wrong all the same.
fn wrong_headers() -> Vec<Value> {
    let h = |name: &str, to: Value| with(header(), name, to);
    vec![
        h("alg", json!("none")),
        h("alg", json!("None")),
        h("alg", json!("HS256")),
        h("alg", json!("HS384")),
        h("alg", json!("ES256")),
        h("alg", json!("RS384")),
        h("alg", json!("PS384")),
        h("alg", json!("es384")),
        h("alg", Value::Null),
        h("kid", json!("rsa")),
        h("kid", json!("../ec")),
        h("kid", json!("' OR 1=1 --")),
        h("kid", Value::Null),
        h("kid", json!(["ec"])),
        h("typ", json!("at+jwt")),
        h("typ", json!("id_token")),
        h("jku", json!("https://evil.test/jwks.json")),
        h("jwk", json!({"kty": "EC"})),
        h("x5u", json!("https://evil.test/cert")),
        h("x5c", json!(["AAAA"])),
        h("crit", json!(["exp"])),
        h("b64", json!(false)),
        json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"}),
        json!({"alg": "RS384", "kid": "ec", "typ": "JWT"}),
    ]
}

fn wrong_claims() -> Vec<Value> {
    let c = |name: &str, to: Value| with(claims(), name, to);
    vec![
        c("iss", json!("018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f")),
        c("iss", Value::Null),
        c("sub", json!("somebody")),
        c("sub", Value::Null),
        c("aud", json!("https://bolt.example/oauth/token")),
        c("aud", json!("https://acme.example/oauth/token/")),
        c("aud", json!("https://acme.example")),
        c("aud", json!([AUDIENCE, "https://bolt.example/oauth/token"])),
        c("aud", json!([])),
        c("aud", Value::Null),
        c("exp", json!(seconds())),
        c("exp", json!(seconds() - 1)),
        c("exp", json!(seconds() + 301)),
        c("exp", json!(i64::MAX)),
        c("exp", json!((seconds() + 60).to_string())),
        c("exp", json!(1.5)),
        c("exp", Value::Null),
        c("iat", json!(seconds() + 60)),
        c("iat", json!("soon")),
        c("nbf", json!(seconds() + 60)),
        c("jti", json!("")),
        c("jti", json!("x".repeat(257))),
        c("jti", json!(7)),
        c("jti", Value::Null),
    ]
}

/// The text itself taken apart and put together wrongly.
fn wrong_texts(good: &str, foreign: &str) -> Vec<String> {
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = [parts[0], parts[1], parts[2]];
    let other = b64(with(claims(), "jti", json!("a2")).to_string());
    let none = b64(json!({"alg": "none", "kid": "ec"}).to_string());
    let theirs = foreign.rsplit('.').next().unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    vec![
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{head}.{other}.{signature}"),
        format!("{head}.{body}.{}", &signature[..signature.len() - 4]),
        format!("{head}.{body}.{flipped}{}", &signature[1..]),
        format!("{head}.{body}.{theirs}"),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{signature}.x"),
        format!("{head}.{body}.{}", b64([0; 96])),
        format!(" {good}"),
        format!("{good}{}", " ".repeat(9_000)),
        foreign.to_owned(),
        String::new(),
        "..".to_owned(),
    ]
}

#[test]
fn bar_i7_no_mutation_of_a_clients_assertion_is_accepted() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let keys = signer.keys();
    let good = signer.sign(&header(), &claims());
    let mut refused = 0;
    let mut refuse = |text: &str, what: &str| {
        assert!(check(&good, &keys).is_some(), "the positive control");
        assert!(check(text, &keys).is_none(), "accepted: {what}");
        refused += 1;
    };
    for header in wrong_headers() {
        refuse(&signer.sign(&header, &claims()), &header.to_string());
    }
    for claims in wrong_claims() {
        refuse(&signer.sign(&header(), &claims), &claims.to_string());
    }
    for text in wrong_texts(&good, &stranger.sign(&header(), &claims())) {
        refuse(&text, &text);
    }
    // The public key as the secret of an HMAC: the classic confusion.
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA384, signer.ec.public_key().as_ref());
    let message =
        format!("{}.{}", b64(with(header(), "alg", json!("HS384")).to_string()), b64(claims().to_string()));
    let tag = aws_lc_rs::hmac::sign(&secret, message.as_bytes());
    refuse(&format!("{message}.{}", b64(tag)), "HS384 by the public key");
    // An id token is no assertion, whoever signed it.
    let id = id_key().sign(&id_claims()).unwrap();
    refuse(&id, "an id token");
    assert!(refused >= 40, "{refused}");
}

#[test]
fn i11_an_assertion_is_taken_by_either_algorithm_of_smart_and_has_an_id_to_use_up() {
    let signer = Signer::new();
    let by_ec = check(&signer.sign(&header(), &claims()), &signer.keys()).unwrap();
    let by_rsa = json!({"alg": "RS384", "kid": "rsa"});
    let by_rsa =
        check(&signer.sign(&by_rsa, &with(claims(), "aud", json!([AUDIENCE]))), &signer.keys()).unwrap();
    assert_eq!(by_ec, by_rsa);
    assert_eq!(by_ec.expires, now() + Duration::from_secs(240));
    let other = check(&signer.sign(&header(), &with(claims(), "jti", json!("a2"))), &signer.keys()).unwrap();
    assert_ne!(by_ec.jti, other.jti);
    assert_eq!(assertion::claimed_client(&signer.sign(&header(), &claims())).as_deref(), Some(CLIENT));
}

#[test]
fn i11_key_sets_that_are_weak_private_or_ambiguous_are_not_registered() {
    let good = Signer::new().set();
    assert!(jws::key_set(&good).is_ok());
    let change =
        |name: &str, to: Value| jws::key_set(&json!({"keys": [with(good["keys"][0].clone(), name, to)]}));
    assert_eq!(change("d", json!("AAAA")), Err(KeySetError::Private));
    for (name, to) in [
        ("kid", Value::Null),
        ("kid", json!("")),
        ("crv", json!("P-256")),
        ("kty", json!("oct")),
        ("alg", json!("ES256")),
        ("use", json!("enc")),
        ("x", json!("AAAA")),
        ("y", json!("not base64!")),
    ] {
        assert_eq!(change(name, to.clone()), Err(KeySetError::Key), "{name}: {to}");
    }
    let rsa = |n: usize| json!({"keys": [{"kty": "RSA", "kid": "k", "n": b64(vec![255; n]), "e": "AQAB"}]});
    assert!(jws::key_set(&rsa(256)).is_ok());
    assert_eq!(jws::key_set(&rsa(128)), Err(KeySetError::Key), "1024 bits");
    let twice = json!({"keys": [good["keys"][0], good["keys"][0]]});
    assert_eq!(jws::key_set(&twice), Err(KeySetError::Key));
    for shape in [json!({}), json!({"keys": []}), json!([]), json!({"keys": "x"})] {
        assert_eq!(jws::key_set(&shape), Err(KeySetError::Shape), "{shape}");
    }
}

fn id_key() -> SigningKey {
    SigningKey::open("k1".to_owned(), &SigningKey::generate().unwrap()).unwrap()
}

fn id_claims() -> Claims<'static> {
    Claims {
        iss: "https://acme.example",
        sub: "p",
        aud: CLIENT,
        iat: Claims::seconds(now()),
        exp: Claims::expiry(now()),
        auth_time: Claims::seconds(now()),
        nonce: Some("n"),
        fhir_user: None,
        name: None,
    }
}

#[test]
fn i11_an_id_token_verifies_by_the_published_key_and_by_no_other() {
    let (key, other) = (id_key(), id_key());
    let token = key.sign(&id_claims()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let verifies = |jwk: &Value, message: &str| {
        let part = |name: &str| BASE64URL_NOPAD.decode(jwk[name].as_str().unwrap().as_bytes()).unwrap();
        let (n, e) = (part("n"), part("e"));
        assert!(n.len() >= 256, "2048 bits or more");
        aws_lc_rs::signature::RsaPublicKeyComponents { n, e }
            .verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .is_ok()
    };
    let jwk = key.public_jwk().unwrap();
    assert!(verifies(&jwk, message));
    assert!(!verifies(&other.public_jwk().unwrap(), message), "another tenant's key");
    assert!(!verifies(&jwk, &message.replace('.', "A.")));
    assert_eq!(jwk["kid"], "k1");
    assert!(jwk.get("d").is_none());
}
