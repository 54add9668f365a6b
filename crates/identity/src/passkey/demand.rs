//! Which passkeys count for somebody: asked when one is registered and whenever one is used.
//!
//! Invariant: what an authenticator is was said by its maker (attestation, WebAuthn section 6.5) or counts as unknown. It is
//! verified again at every use, with what the tenant trusts then: a root or model that is struck off counts no more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use webauthn_rs::prelude::{
    AttestationCaList, AttestationCaListBuilder, AttestationMetadata, Credential, WebauthnError,
};

use super::PasskeyError;

/// Which passkeys a role may use, the laxest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasskeyPolicy {
    /// Any with user verification, synchronised ones too.
    #[default]
    Any,
    /// Only those that cannot leave their device (backup eligibility flag not set).
    DeviceBound,
    /// Only device-bound ones in authenticators whose maker and model the tenant has listed.
    Attested,
}

/// A maker of authenticators, as a tenant lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedMaker {
    /// The certificate that the maker's attestations go back to, PEM.
    pub root: String,
    /// The models (AAGUIDs) that count, one at least.
    pub models: Vec<Uuid>,
}

/// A list of makers that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a maker of authenticators needs a root certificate (PEM) and one model (AAGUID) at least, and there is a limit on both"
)]
pub struct MakersError;

/// How many makers, and models of all of them, a tenant may list: each is parsed whenever such a passkey is used.
const MOST_MAKERS: usize = 16;
const MOST_MODELS: usize = 128;

/// What is demanded of a passkey.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    policy: PasskeyPolicy,
    makers: AttestationCaList,
}

impl Demand {
    /// What `policy` demands where these makers are trusted.
    ///
    /// # Errors
    /// [`MakersError`] when one of them cannot be read, or there are too many. Nothing is read unless `policy` is
    /// [`PasskeyPolicy::Attested`].
    pub fn new(policy: PasskeyPolicy, makers: &[TrustedMaker]) -> Result<Self, MakersError> {
        let mut list = AttestationCaListBuilder::new();
        if policy < PasskeyPolicy::Attested {
            return Ok(Self { policy, makers: list.build() });
        }
        let models: usize = makers.iter().map(|maker| maker.models.len()).sum();
        if makers.len() > MOST_MAKERS || models > MOST_MODELS {
            return Err(MakersError);
        }
        for maker in makers {
            if maker.models.is_empty() {
                return Err(MakersError);
            }
            for model in &maker.models {
                list.insert_device_pem(maker.root.as_bytes(), *model, String::new(), BTreeMap::new())
                    .map_err(|_| MakersError)?;
            }
        }
        Ok(Self { policy, makers: list.build() })
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> PasskeyPolicy {
        self.policy
    }

    /// Whom to ask an attestation of; `None` when none is needed.
    pub(super) fn makers(&self) -> Option<AttestationCaList> {
        (self.policy == PasskeyPolicy::Attested).then(|| self.makers.clone())
    }

    /// Whether a registered credential is what is demanded.
    pub(super) fn check(&self, credential: &Credential) -> Result<(), PasskeyError> {
        if self.policy >= PasskeyPolicy::DeviceBound && credential.backup_eligible {
            return Err(PasskeyError::DeviceBoundNeeded);
        }
        if self.policy == PasskeyPolicy::Attested && !self.is_listed(credential) {
            return Err(PasskeyError::AttestedNeeded);
        }
        Ok(())
    }

    fn is_listed(&self, credential: &Credential) -> bool {
        let Ok(Some(maker)) = credential.verify_attestation(&self.makers) else { return false };
        match &credential.attestation.metadata {
            AttestationMetadata::Packed { aaguid } | AttestationMetadata::Tpm { aaguid, .. } => {
                maker.aaguids().contains_key(aaguid)
            }
            _ => false,
        }
    }
}

/// A registration that failed for what the authenticator is, or is not, said to be.
pub(super) fn not_attested(error: WebauthnError) -> PasskeyError {
    match error {
        WebauthnError::AttestationNotVerifiable
        | WebauthnError::AttestationNotSupported
        | WebauthnError::AttestationChainNotTrusted(_)
        | WebauthnError::AttestationUntrustedAaguid
        | WebauthnError::AttestationFormatMissingAaguid
        | WebauthnError::AttestationCertificateTrustStoreEmpty
        | WebauthnError::MissingAttestationCaList => PasskeyError::AttestedNeeded,
        WebauthnError::CredentialMayNotBeHardwareBound => PasskeyError::DeviceBoundNeeded,
        other => other.into(),
    }
}
