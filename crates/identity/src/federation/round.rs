//! One round to the provider and back, bound to the browser that began it.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use carekeep_kernel::{Random, SessionId, Timestamp, random};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Metadata, Provider};

/// How long an assertion of the tenant about itself is good.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);

/// What is kept here of a round until the browser is back. Never leaves the server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The issuer that was asked: an answer of another one is none (RFC 9207).
    pub issuer: String,
    /// Under which id the provider was set: one that was set anew since is another one.
    pub provider: Uuid,
    /// What the id token must repeat.
    pub nonce: String,
    /// The PKCE verifier (RFC 7636).
    pub verifier: String,
    /// The session whose person links an account of the provider; nobody is signed in then.
    pub link: Option<SessionId>,
}

/// What the browser brings back (RFC 6749 section 4.1.2).
#[derive(Debug, Default)]
pub struct Answer<'a> {
    /// The code.
    pub code: Option<&'a str>,
    /// Who answers (RFC 9207).
    pub iss: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
}

impl Round {
    /// Begins a round.
    #[must_use]
    pub fn begin((issuer, provider): (&str, Uuid), link: Option<SessionId>, source: &dyn Random) -> Self {
        let fresh = || BASE64URL_NOPAD.encode(&random::bytes::<32>(source));
        Self { issuer: issuer.to_owned(), provider, nonce: fresh(), verifier: fresh(), link }
    }

    /// Where the browser is sent, to come back to `redirect_uri` with `state` (OpenID Connect Core 1.0 section 3.1.2.1). Only
    /// `openid` is asked for: nothing that the provider tells about a person is looked at.
    #[must_use]
    pub fn address(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        (redirect_uri, state): (&str, &str),
    ) -> String {
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, self.verifier.as_bytes()).as_ref());
        let mut url = metadata.authorization_endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &provider.client_id)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("scope", "openid")
                .append_pair("state", state)
                .append_pair("nonce", &self.nonce)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
            if self.link.is_some() {
                // Whoever links chooses whom: the browser may be signed in there as somebody else.
                query.append_pair("prompt", "select_account");
            }
            if !provider.acr.is_empty() {
                query.append_pair("acr_values", &provider.acr.join(" "));
            }
        }
        url.into()
    }

    /// The code of an answer, if it is the asked issuer's; `None` for the answer of another one, or of one that announces that it
    /// names itself and does not (RFC 9207 section 2.4).
    #[must_use]
    pub fn code<'a>(&self, answer: &Answer<'a>, metadata: &Metadata) -> Option<&'a str> {
        let named = match answer.iss {
            Some(iss) => iss == self.issuer,
            None => !metadata.names_issuer,
        };
        answer.code.filter(|code| named && answer.error.is_none() && (1..=4096).contains(&code.len()))
    }
}

/// What the tenant says about itself at the token endpoint (`private_key_jwt`, OpenID Connect Core 1.0 section 9).
#[must_use]
pub fn assertion_claims(
    provider: &Provider,
    metadata: &Metadata,
    now: Timestamp,
    source: &dyn Random,
) -> Value {
    let seconds = |at: Timestamp| at.as_micros() / 1_000_000;
    json!({
        "iss": provider.client_id,
        "sub": provider.client_id,
        "aud": metadata.token_endpoint.as_str(),
        "jti": BASE64URL_NOPAD.encode(&random::bytes::<16>(source)),
        "iat": seconds(now),
        "exp": seconds(now + ASSERTION_LIFE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(names_issuer: bool) -> Metadata {
        let url = |path: &str| format!("https://id.example{path}").parse().unwrap();
        Metadata {
            authorization_endpoint: url("/authorize?tenant=7"),
            token_endpoint: url("/token"),
            jwks_uri: url("/keys"),
            names_issuer,
        }
    }

    fn round() -> Round {
        Round {
            issuer: "https://id.example".to_owned(),
            provider: Uuid::nil(),
            nonce: "n".to_owned(),
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
            link: None,
        }
    }

    #[test]
    fn i12_the_browser_is_sent_with_nonce_state_and_the_challenge_of_the_verifier() {
        let provider = Provider {
            issuer: "https://id.example".to_owned(),
            client_id: "care keep".to_owned(),
            label: "l".to_owned(),
            subject_claim: "sub".to_owned(),
            amr: Vec::new(),
            acr: vec!["gold".to_owned(), "silver".to_owned()],
        };
        let address = round().address(&provider, &metadata(false), ("https://a.example/cb", "s"));
        assert_eq!(
            address,
            "https://id.example/authorize?tenant=7&response_type=code&client_id=care+keep\
             &redirect_uri=https%3A%2F%2Fa.example%2Fcb&scope=openid&state=s&nonce=n\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&acr_values=gold+silver"
        );
        // Whoever links an account is asked which one.
        let link = Round { link: Some(SessionId::from_uuid(Uuid::nil())), ..round() };
        let address = link.address(&provider, &metadata(false), ("https://a.example/cb", "s"));
        assert!(address.contains("&prompt=select_account&acr_values="), "{address}");
    }

    #[test]
    fn i12_an_answer_of_another_issuer_or_of_none_where_one_is_announced_has_no_code() {
        let (round, own, other) = (round(), Some("https://id.example"), Some("https://evil.example"));
        let code = |iss, error, names| round.code(&Answer { code: Some("c"), iss, error }, &metadata(names));
        assert_eq!(
            (code(own, None, true), code(own, None, false), code(None, None, false)),
            (Some("c"), Some("c"), Some("c"))
        );
        assert_eq!(
            (code(other, None, false), code(other, None, true), code(None, None, true)),
            (None, None, None)
        );
        assert_eq!(code(own, Some("access_denied"), true), None);
        let long = "c".repeat(4097);
        let answer = Answer { code: Some(&long), iss: own, error: None };
        assert_eq!(round.code(&answer, &metadata(true)), None);
    }
}
