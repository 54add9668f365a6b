//! What a provider publishes about itself (OpenID Connect Discovery 1.0 section 3, RFC 8414).

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{Provider, provider::secure};

/// What is used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where the browser is sent.
    pub authorization_endpoint: Url,
    /// Where a code is exchanged.
    pub token_endpoint: Url,
    /// Where the keys are.
    pub jwks_uri: Url,
    /// Whether each answer names its issuer (RFC 9207).
    pub names_issuer: bool,
}

/// A provider that cannot be used as it is, and why: for whoever sets it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUsable {
    /// It is not what was asked for.
    #[error("the provider publishes no metadata, or that of another issuer: give the issuer to the letter")]
    Issuer,
    /// An address is missing or not https.
    #[error("the provider's metadata lacks an https address for authorization, tokens or keys")]
    Address,
    /// Something that is needed is not offered.
    #[error(
        "the provider does not offer the code flow with PKCE (S256), or only other ways to authenticate clients"
    )]
    Offer,
}

#[derive(Deserialize)]
struct Published {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    response_types_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where a provider publishes it. `None` when the issuer is no address.
#[must_use]
pub fn discovery_url(issuer: &str) -> Option<Url> {
    secure(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))
}

impl Metadata {
    /// Reads what was published. `secret`: whether there is one to authenticate with, and not the tenant's key.
    ///
    /// # Errors
    /// [`NotUsable`].
    pub fn read(provider: &Provider, published: Value, secret: bool) -> Result<Self, NotUsable> {
        let published: Published = serde_json::from_value(published).map_err(|_| NotUsable::Issuer)?;
        if published.issuer != provider.issuer {
            return Err(NotUsable::Issuer);
        }
        let address = |text: &str| secure(text).ok_or(NotUsable::Address);
        let metadata = Self {
            authorization_endpoint: address(&published.authorization_endpoint)?,
            token_endpoint: address(&published.token_endpoint)?,
            jwks_uri: address(&published.jwks_uri)?,
            names_issuer: published.authorization_response_iss_parameter_supported,
        };
        let method = if secret { "client_secret_post" } else { "private_key_jwt" };
        // What is not said is not known to be missing, and is found out at the first sign-in.
        let offers = |list: Option<Vec<String>>, wanted: &str| {
            list.is_none_or(|all| all.iter().any(|one| one == wanted))
        };
        let good = offers(published.response_types_supported, "code")
            && offers(published.code_challenge_methods_supported, "S256")
            && offers(published.token_endpoint_auth_methods_supported, method);
        if good { Ok(metadata) } else { Err(NotUsable::Offer) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider() -> Provider {
        Provider {
            issuer: "https://id.example/t".to_owned(),
            client_id: "c".to_owned(),
            label: "l".to_owned(),
            subject_claim: "sub".to_owned(),
            amr: Vec::new(),
            acr: Vec::new(),
        }
    }

    fn published(change: &[(&str, Value)]) -> Value {
        let mut all = json!({
            "issuer": "https://id.example/t",
            "authorization_endpoint": "https://id.example/t/authorize",
            "token_endpoint": "https://id.example/t/token",
            "jwks_uri": "https://keys.example/t",
        });
        for (name, value) in change {
            all[*name] = value.clone();
        }
        all
    }

    #[test]
    fn i12_metadata_is_of_the_issuer_to_the_letter_over_tls_and_offers_what_is_needed() {
        let read = |change: &[(&str, Value)]| Metadata::read(&provider(), published(change), false);
        let plain = read(&[]).unwrap();
        assert!(!plain.names_issuer && plain.jwks_uri.host_str() == Some("keys.example"));
        assert!(
            read(&[("authorization_response_iss_parameter_supported", json!(true))]).unwrap().names_issuer
        );
        for issuer in ["https://id.example/t/", "https://ID.example/t", "https://evil.example"] {
            assert_eq!(read(&[("issuer", json!(issuer))]), Err(NotUsable::Issuer), "{issuer}");
        }
        assert_eq!(Metadata::read(&provider(), json!([]), false), Err(NotUsable::Issuer));
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            for bad in ["http://id.example/x", "https://u:p@id.example/x", "/x", "javascript:alert(1)"] {
                assert_eq!(read(&[(name, json!(bad))]), Err(NotUsable::Address), "{name} {bad}");
            }
        }
        for (name, lacks, has) in [
            ("response_types_supported", json!(["id_token"]), json!(["code", "id_token"])),
            ("code_challenge_methods_supported", json!(["plain"]), json!(["plain", "S256"])),
            (
                "token_endpoint_auth_methods_supported",
                json!(["client_secret_post"]),
                json!(["private_key_jwt"]),
            ),
        ] {
            assert_eq!(read(&[(name, lacks)]), Err(NotUsable::Offer), "{name}");
            assert!(read(&[(name, has)]).is_ok(), "{name}");
        }
        let secret = published(&[("token_endpoint_auth_methods_supported", json!(["client_secret_post"]))]);
        assert!(Metadata::read(&provider(), secret, true).is_ok());
    }

    #[test]
    fn metadata_is_below_the_issuer() {
        for issuer in ["https://id.example/t", "https://id.example/t/"] {
            let url = discovery_url(issuer).unwrap();
            assert_eq!(url.as_str(), "https://id.example/t/.well-known/openid-configuration");
        }
        assert_eq!(discovery_url("http://id.example"), None);
    }
}
