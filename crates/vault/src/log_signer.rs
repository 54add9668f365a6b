//! The tenant's checkpoint key, as the ledger wants it.

use carekeep_kernel::TenantId;
use carekeep_keys::SigningKey;
use carekeep_ledger::{
    Ed25519Verifier, KeyKind, NoteError, NoteSigner, VerifierSet, note::NoteSignature, origin_of,
};

/// Signs checkpoints of one tenant's log. The key never leaves the keys crate.
pub(crate) struct LogSigner {
    key: SigningKey,
    verifier: Ed25519Verifier,
}

impl LogSigner {
    pub(crate) fn new(tenant: TenantId, key: SigningKey) -> Result<Self, NoteError> {
        let verifier = Ed25519Verifier::new(&origin_of(tenant), KeyKind::Log, key.verifying_key().0)?;
        Ok(Self { key, verifier })
    }

    /// The set that holds this log's public key and no other.
    pub(crate) fn trusted(&self) -> VerifierSet {
        VerifierSet::new([self.verifier.clone()])
    }
}

impl NoteSigner for LogSigner {
    fn verifier(&self) -> &Ed25519Verifier {
        &self.verifier
    }

    fn sign_note(&self, text: &str) -> Result<NoteSignature, NoteError> {
        Ok(NoteSignature {
            name: self.verifier.name().to_owned(),
            key_id: self.verifier.id(),
            bytes: self.key.sign(text.as_bytes()).to_vec(),
        })
    }
}
