//! What a tenant says about its provider.

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::id_token::Asserted;

/// A secret that is shared with the provider. Not printed.
pub type SecretText = Zeroizing<String>;

/// Claims by which SCIM's `externalId` may name a person beside `sub`: ids that a provider never gives to somebody else. Names and
/// addresses are none of them: they are reused, and people choose them.
pub const SUBJECT_CLAIMS: [&str; 3] = ["sub", "oid", "uid"];

/// The most words in a list, and the longest of them.
const MOST_WORDS: usize = 16;
const LONGEST: usize = 200;

/// A tenant's provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The issuer identifier (OpenID Connect Discovery 1.0 section 3), to the letter.
    pub issuer: String,
    /// What the provider calls this tenant.
    pub client_id: String,
    /// What the button of the sign-in page says.
    pub label: String,
    /// The claim that SCIM's `externalId` is compared with: one of [`SUBJECT_CLAIMS`].
    pub subject_claim: String,
    /// `amr` values (RFC 8176) of which any one means that the provider asked for two factors.
    pub amr: Vec<String>,
    /// `acr` values that mean the same.
    pub acr: Vec<String>,
}

/// Why a provider cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The issuer is no address that can be asked.
    #[error("the issuer is an https address without query, fragment, user name and password")]
    Issuer,
    /// Something else is missing or too long.
    #[error(
        "client_id and label have 1 to 200 characters; amr and acr are up to 16 values of 1 to 200 characters"
    )]
    Words,
    /// The claim may change hands.
    #[error("the subject claim is sub, oid or uid: names and addresses are given to somebody else one day")]
    Claim,
}

impl Provider {
    /// Checks what somebody wants to set.
    ///
    /// # Errors
    /// [`ProviderError`], which says what to do.
    pub fn check(&self) -> Result<(), ProviderError> {
        let issuer = secure(&self.issuer).filter(|url| url.query().is_none() && self.issuer.len() <= LONGEST);
        if issuer.is_none() {
            return Err(ProviderError::Issuer);
        }
        let word = |text: &String| {
            !text.trim().is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control)
        };
        let list = |words: &[String]| words.len() <= MOST_WORDS && words.iter().all(word);
        // The values of acr are sent in one parameter, with blanks between them.
        let acr = list(&self.acr) && !self.acr.iter().any(|value| value.contains(' '));
        if !(word(&self.client_id) && word(&self.label) && list(&self.amr) && acr) {
            return Err(ProviderError::Words);
        }
        let known = SUBJECT_CLAIMS.contains(&self.subject_claim.as_str());
        if known { Ok(()) } else { Err(ProviderError::Claim) }
    }

    /// Whether whoever agreed to believe `before` agreed to believe this: the same issuer about the same people and for the same client,
    /// in no other words. What the button says and how the tenant authenticates is nothing to agree to.
    #[must_use]
    pub fn believes_no_more_than(&self, before: &Self) -> bool {
        let within = |new: &[String], old: &[String]| new.iter().all(|word| old.contains(word));
        self.issuer == before.issuer
            && self.client_id == before.client_id
            && self.subject_claim == before.subject_claim
            && within(&self.amr, &before.amr)
            && within(&self.acr, &before.acr)
    }

    /// Whether the provider says that it asked for two factors, in the tenant's own terms: nothing that is not listed counts.
    #[must_use]
    pub fn vouches_for_two(&self, asserted: &Asserted) -> bool {
        let by_amr = asserted.amr.iter().any(|value| self.amr.contains(value));
        by_amr || asserted.acr.as_ref().is_some_and(|value| self.acr.contains(value))
    }
}

/// An address that is asked over TLS, with nothing in it that is meant for somebody else.
pub(super) fn secure(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (url.scheme() == "https" && url.has_host() && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Provider {
        Provider {
            issuer: "https://id.example/tenant".to_owned(),
            client_id: "carekeep".to_owned(),
            label: "Harbour".to_owned(),
            subject_claim: "sub".to_owned(),
            amr: vec!["mfa".to_owned()],
            acr: vec!["gold".to_owned()],
        }
    }

    #[test]
    fn i12_a_provider_that_could_not_be_trusted_is_not_set() {
        assert_eq!(provider().check(), Ok(()));
        for issuer in [
            "",
            "id.example",
            "http://id.example",
            "https://",
            "https://a:b@id.example",
            "https://id.example?x=1",
            "https://id.example#x",
            "file:///etc/passwd",
            "javascript:alert(1)",
        ] {
            let bad = Provider { issuer: issuer.to_owned(), ..provider() };
            assert_eq!(bad.check(), Err(ProviderError::Issuer), "{issuer}");
        }
        for claim in ["email", "preferred_username", "upn", "name", "Sub", ""] {
            let bad = Provider { subject_claim: claim.to_owned(), ..provider() };
            assert_eq!(bad.check(), Err(ProviderError::Claim), "{claim}");
        }
        for bad in [
            Provider { client_id: String::new(), ..provider() },
            Provider { label: " ".to_owned(), ..provider() },
            Provider { label: "a\nb".to_owned(), ..provider() },
            Provider { amr: vec![String::new()], ..provider() },
            Provider { amr: vec!["x".to_owned(); 17], ..provider() },
            Provider { acr: vec!["two words".to_owned()], ..provider() },
        ] {
            assert_eq!(bad.check(), Err(ProviderError::Words), "{bad:?}");
        }
    }

    #[test]
    fn i12_two_factors_are_what_the_tenant_listed_and_nothing_else() {
        let says = |amr: &[&str], acr: Option<&str>| Asserted {
            subject: "x".to_owned(),
            claim: None,
            amr: amr.iter().map(|value| (*value).to_owned()).collect(),
            acr: acr.map(str::to_owned),
        };
        let provider = provider();
        assert!(provider.vouches_for_two(&says(&["pwd", "mfa"], None)));
        assert!(provider.vouches_for_two(&says(&[], Some("gold"))));
        for (amr, acr) in
            [(&[][..], None), (&["pwd"], None), (&["MFA"], Some("silver")), (&["gold"], Some("mfa"))]
        {
            assert!(!provider.vouches_for_two(&says(amr, acr)), "{amr:?} {acr:?}");
        }
        let silent = Provider { amr: Vec::new(), acr: Vec::new(), ..provider };
        assert!(!silent.vouches_for_two(&says(&["mfa"], Some("gold"))));
    }
}
