use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::*;
use crate::oauth::id_token::SigningKey;

const NOW: i64 = 1_800_000_000;

fn expected() -> Expected<'static> {
    Expected {
        issuer: "https://id.example",
        client_id: "carekeep",
        nonce: "n-1",
        claim: "oid",
        now: Timestamp::from_micros(NOW * 1_000_000),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "carekeep", "sub": "248289761001", "nonce": "n-1",
        "iat": NOW, "exp": NOW + 300, "amr": ["pwd", "mfa"], "acr": "gold", "oid": "7",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    all[name] = value;
    all
}

fn without(name: &str) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    all
}

/// A provider with one RSA key.
struct Signer {
    key: SigningKey,
    set: Value,
}

impl Signer {
    fn new() -> Self {
        let key = SigningKey::open("k1".to_owned(), &SigningKey::generate().unwrap()).unwrap();
        let set = json!({"keys": [key.public_jwk().unwrap()]});
        Self { key, set }
    }

    fn token(&self, claims: &Value) -> String {
        self.key.sign(claims).unwrap()
    }

    fn verify(&self, token: &str) -> Result<Asserted, NotBelieved> {
        verify(token, &KeySet::read(&self.set), expected())
    }
}

fn encode(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

#[test]
fn i12_what_the_provider_signed_for_this_round_is_believed_and_nothing_that_differs_from_it() {
    let signer = Signer::new();
    let asserted = signer.verify(&signer.token(&claims())).ok().unwrap();
    assert_eq!((asserted.subject.as_str(), asserted.claim.as_deref()), ("248289761001", Some("7")));
    assert_eq!((asserted.amr.join(" "), asserted.acr.as_deref()), ("pwd mfa".to_owned(), Some("gold")));
    for good in [
        with("aud", json!(["carekeep"])),
        with("azp", json!("carekeep")),
        with("amr", json!("mfa")),
        without("amr"),
        with("exp", json!(NOW - 59)),
        with("iat", json!(NOW + 60)),
        with("iat", json!(NOW - 599)),
        with("nbf", json!(NOW + 60)),
    ] {
        assert!(signer.verify(&signer.token(&good)).is_ok(), "{good}");
    }
    for bad in [
        with("iss", json!("https://evil.example")),
        with("iss", json!("https://id.example/")),
        without("iss"),
        with("aud", json!("another")),
        with("aud", json!(["carekeep", "another"])),
        with("aud", json!([])),
        without("aud"),
        with("azp", json!("another")),
        with("azp", json!(null)),
        with("nonce", json!("n-2")),
        without("nonce"),
        with("sub", json!("")),
        with("sub", json!(7)),
        with("sub", json!("x".repeat(256))),
        without("sub"),
        with("exp", json!(NOW - 60)),
        with("exp", json!("soon")),
        without("exp"),
        with("iat", json!(NOW + 61)),
        with("iat", json!(NOW - 600)),
        without("iat"),
        with("nbf", json!(NOW + 61)),
        with("nbf", json!("later")),
    ] {
        assert_eq!(signer.verify(&signer.token(&bad)).err(), Some(NotBelieved::Invalid), "{bad}");
    }
}

#[test]
fn i12_a_signature_counts_by_a_published_asymmetric_key_under_its_own_algorithm() {
    let signer = Signer::new();
    let good = signer.token(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let body = message.split_once('.').unwrap().1;
    let with_header = |header: Value| format!("{}.{body}.{signature}", encode(&header));
    let modulus = BASE64URL_NOPAD.decode(signer.set["keys"][0]["n"].as_str().unwrap().as_bytes()).unwrap();
    let by_hmac = |secret: &[u8]| {
        let message = format!("{}.{body}", encode(&json!({"alg": "HS256", "kid": "k1", "typ": "JWT"})));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    };
    let jwk = signer.set["keys"][0].clone();
    for (what, bad) in [
        ("none", format!("{}.{body}.", encode(&json!({"alg": "none"})))),
        ("none with a signature", with_header(json!({"alg": "none", "kid": "k1"}))),
        ("HS256 with the modulus", by_hmac(&modulus)),
        ("HS256 with the JWK", by_hmac(jwk.to_string().as_bytes())),
        ("another algorithm", with_header(json!({"alg": "PS256", "kid": "k1"}))),
        ("a key of its own", with_header(json!({"alg": "RS256", "kid": "k1", "jwk": jwk}))),
        (
            "an address of keys",
            with_header(json!({"alg": "RS256", "kid": "k1", "jku": "https://evil.example"})),
        ),
        ("something critical", with_header(json!({"alg": "RS256", "kid": "k1", "crit": ["b64"]}))),
        ("an access token", with_header(json!({"alg": "RS256", "kid": "k1", "typ": "at+jwt"}))),
        (
            "other claims",
            format!(
                "{}.{}.{signature}",
                message.split_once('.').unwrap().0,
                encode(&with("sub", json!("1")))
            ),
        ),
        ("a cut signature", good[..good.len() - 4].to_owned()),
        ("no signature", format!("{message}.")),
        ("two parts", message.to_owned()),
        ("nothing", String::new()),
        ("too much", format!("{good}{}", "A".repeat(LONGEST))),
    ] {
        assert_eq!(signer.verify(&bad).err(), Some(NotBelieved::Invalid), "{what}");
    }
    let stranger = Signer::new();
    assert_eq!(
        signer.verify(&stranger.token(&claims())).err(),
        Some(NotBelieved::Invalid),
        "another key of that name"
    );
    let unknown = with_header(json!({"alg": "RS256", "kid": "k2"}));
    assert_eq!(signer.verify(&unknown).err(), Some(NotBelieved::UnknownKey), "a key that is not there");
    assert!(signer.verify(&good).is_ok(), "the control");
}

#[test]
fn i12_an_elliptic_key_verifies_too_and_what_cannot_is_left_out_of_the_set() {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| BASE64URL_NOPAD.encode(&point[range]);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65)});
    let message = format!("{}.{}", encode(&json!({"alg": "ES256"})), encode(&claims()));
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let token = format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()));
    let verify = |keys: Value| verify(&token, &KeySet::read(&json!({"keys": keys})), expected()).err();
    let mut for_encryption = jwk.clone();
    for_encryption["use"] = json!("enc");
    let mut of_another = jwk.clone();
    of_another["alg"] = json!("ES384");
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"});
    assert_eq!(verify(json!([jwk])), None);
    assert_eq!(verify(json!([secret, {"kty": "new"}, 7, jwk])), None);
    for no in [json!([]), json!([for_encryption]), json!([of_another]), json!([secret])] {
        assert_eq!(verify(no.clone()), Some(NotBelieved::UnknownKey), "{no}");
    }
    assert_eq!(
        verify(json!([jwk, jwk])),
        Some(NotBelieved::UnknownKey),
        "of two without a name neither is meant"
    );
    assert_eq!(
        super::verify(&token, &KeySet::read(&json!(null)), expected()).err(),
        Some(NotBelieved::UnknownKey)
    );
}
