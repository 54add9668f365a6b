//! Ed25519 (RFC 8032) for ledger checkpoints.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use carekeep_kernel::TenantId;

use crate::{DataKey, KeyError};

const LABEL: &[u8] = b"carekeep/ledger-ed25519/1";

/// The tenant's checkpoint signing key, derived from its data key of purpose `Ledger`. No `Debug`, no export.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SigningKey {
    /// The signing key of `tenant`. `key` must be its data key of purpose `Ledger`.
    ///
    /// # Errors
    /// [`KeyError::Refused`] if the cryptographic library refuses the seed, which no 32 bytes cause.
    pub fn derive(key: &DataKey, tenant: TenantId) -> Result<Self, KeyError> {
        let refused =
            || KeyError::Refused("the library made no Ed25519 key of a 32-byte seed: report this".into());
        let seed = key.derive::<32>(LABEL, tenant.as_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| refused())?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| refused())?;
        Ok(Self { pair, public })
    }

    /// The 64 bytes of signature over `message`; always the same for the same message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0_u8; 64];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }

    /// The key to publish.
    #[must_use]
    pub const fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.public)
    }
}

/// The public half of a [`SigningKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(pub [u8; 32]);

impl VerifyingKey {
    /// Whether `signature` is this key's signature over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    /// The 32 bytes to publish.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
