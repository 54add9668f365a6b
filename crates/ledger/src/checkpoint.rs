//! Checkpoints (C2SP tlog-checkpoint): the signed statement "this log has this size and this root".
//!
//! Invariant: a checkpoint counts only when a key *of its own origin* has signed it, so the key of one tenant cannot
//! speak for another.

use std::{fmt, str::FromStr};

use carekeep_kernel::{TenantId, Timestamp};
use data_encoding::BASE64;

use crate::{
    hash::RootHash,
    note::{KeyKind, NoteError, NoteSignature, NoteSigner, SignedNote, VerifierSet},
};

const ORIGIN_PREFIX: &str = "carekeep/";
const TIME_PREFIX: &str = "at ";

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note or its signatures.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not origin, size, root and time.
    #[error("not a checkpoint ({0}): fetch it again, or treat it as forged")]
    Malformed(&'static str),
    /// The signer's name is not the origin.
    #[error(
        "the signing key is named {key:?}, the log {origin:?}: sign a log with the key of its own origin"
    )]
    WrongKey {
        /// Name of the key.
        key: String,
        /// Origin of the checkpoint.
        origin: String,
    },
}

/// The origin of a tenant's log, which is also the name of its key: `carekeep/<tenant id>`.
#[must_use]
pub fn origin_of(tenant: TenantId) -> String {
    format!("{ORIGIN_PREFIX}{tenant}")
}

/// The tenant that an origin names; none for a foreign log.
#[must_use]
pub fn tenant_of(origin: &str) -> Option<TenantId> {
    origin.strip_prefix(ORIGIN_PREFIX).and_then(|tenant| TenantId::from_str(tenant).ok())
}

/// Size and root of a log at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: see [`origin_of`].
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: RootHash,
    /// When it was signed: the extension line `at <microseconds since 1970>`. It is there so that an idle log still
    /// shows a heartbeat.
    pub at: Timestamp,
}

impl Checkpoint {
    /// The checkpoint of a tenant's log.
    #[must_use]
    pub fn new(tenant: TenantId, size: u64, root: RootHash, at: Timestamp) -> Self {
        Self { origin: origin_of(tenant), size, root, at }
    }

    /// The text that is signed.
    fn text(&self) -> String {
        let (size, at) = (self.size, self.at.as_micros());
        format!("{}\n{size}\n{}\n{TIME_PREFIX}{at}\n", self.origin, self.root)
    }

    /// Signs the checkpoint.
    ///
    /// # Errors
    /// When the signer's name is not the origin, it is a cosigner, or signing fails.
    pub fn sign(&self, signer: &dyn NoteSigner) -> Result<SignedCheckpoint, CheckpointError> {
        let key = signer.verifier();
        if key.name() != self.origin || key.kind() != KeyKind::Log {
            return Err(CheckpointError::WrongKey {
                key: key.name().to_owned(),
                origin: self.origin.clone(),
            });
        }
        let note = SignedNote::sign(self.text(), signer)?;
        Ok(SignedCheckpoint { checkpoint: self.clone(), note })
    }

    fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let bad = CheckpointError::Malformed;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(time)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(bad("fewer than four lines"));
        };
        let root = BASE64.decode(root.as_bytes()).map_err(|_| bad("the root is not base 64"))?;
        let root = <[u8; 32]>::try_from(root).map_err(|_| bad("the root is not 32 bytes long"))?;
        let at = time.strip_prefix(TIME_PREFIX).ok_or(bad("no time line"))?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| bad("the size is not a number"))?,
            root: RootHash::from_bytes(root),
            at: Timestamp::from_micros(at.parse().map_err(|_| bad("the time is not a number"))?),
        };
        // One meaning, one text: leading zeroes, signs and further lines are found by writing it again.
        if checkpoint.text() == text { Ok(checkpoint) } else { Err(bad("not in canonical form")) }
    }
}

/// A checkpoint with the note that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Takes the text of a signed checkpoint apart. Checks no signature: call [`SignedCheckpoint::verify`].
    ///
    /// # Errors
    /// When it is not a signed checkpoint in canonical form.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(text)?;
        Ok(Self { checkpoint: Checkpoint::parse_text(note.text())?, note })
    }

    /// The checkpoint, once a trusted log key with the name of its origin is seen to have signed it.
    ///
    /// # Errors
    /// When no such key has signed, or a signature by such a key is wrong.
    pub fn verify(&self, trusted: &VerifierSet) -> Result<&Checkpoint, CheckpointError> {
        let own = trusted.named(&self.checkpoint.origin);
        let signers = self.note.verify(&own)?;
        if signers.iter().any(|key| key.kind() == KeyKind::Log) {
            Ok(&self.checkpoint)
        } else {
            Err(NoteError::Untrusted.into())
        }
    }

    /// How many of these witness keys have cosigned.
    ///
    /// # Errors
    /// When a known witness's signature is wrong.
    pub fn cosigners(&self, witnesses: &VerifierSet) -> Result<usize, CheckpointError> {
        match self.note.verify(witnesses) {
            Ok(keys) => Ok(keys.iter().filter(|key| key.kind() == KeyKind::Cosignature).count()),
            Err(NoteError::Untrusted) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// What the text claims, whoever signed it.
    #[must_use]
    pub const fn claimed(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note.
    #[must_use]
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Adds a witness's signature line.
    pub fn add_signature(&mut self, signature: NoteSignature) {
        self.note.add_signature(signature);
    }
}

impl fmt::Display for SignedCheckpoint {
    /// The text to store and to send.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
