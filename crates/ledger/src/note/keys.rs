//! Keys that sign and verify notes.
//!
//! Invariant: a key is its name, its kind and its 32 bytes together; its id is derived from all three, so the same bytes
//! under another name or for another purpose are another key.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use carekeep_kernel::Timestamp;
use data_encoding::{BASE64, HEXLOWER};

use super::{NoteError, NoteSignature};
use crate::hash::digest_of;

/// What a key's signatures mean (signature type byte of C2SP signed-note).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// Ed25519 over the note's text: a log's own key.
    Log = 0x01,
    /// Timestamped Ed25519 cosignature (C2SP tlog-cosignature): a witness's key.
    Cosignature = 0x04,
}

/// Refuses names that would make a signature line ambiguous.
pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.chars().any(bad) { Err(NoteError::KeyName(name.to_owned())) } else { Ok(()) }
}

/// `SHA-256(name || 0x0A || kind || public key)[:4]`.
fn key_id(name: &str, kind: KeyKind, public: &[u8; 32]) -> u32 {
    let digest = digest_of(&[name.as_bytes(), b"\n", &[kind as u8], public].concat());
    digest.first_chunk::<4>().map_or(0, |id| u32::from_be_bytes(*id))
}

/// Something that holds a private key and signs notes with it.
pub trait NoteSigner: Send + Sync {
    /// The public half.
    fn verifier(&self) -> &Ed25519Verifier;

    /// Signs the text of a note (which ends in a newline).
    ///
    /// # Errors
    /// [`NoteError::Signing`] when the key cannot be used.
    fn sign_note(&self, text: &str) -> Result<NoteSignature, NoteError>;
}

fn pair_from(seed: &[u8; 32]) -> Result<Ed25519KeyPair, NoteError> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Signing)
}

fn public_of(pair: &Ed25519KeyPair) -> Result<[u8; 32], NoteError> {
    pair.public_key().as_ref().try_into().map_err(|_| NoteError::Signing)
}

/// A log's signing key, in memory.
pub struct Ed25519Signer {
    pair: Ed25519KeyPair,
    verifier: Ed25519Verifier,
}

impl Ed25519Signer {
    /// The key that `seed` (RFC 8032 section 5.1.5) stands for, under `name`; for a log the name is its origin. The
    /// caller zeroises its copy of the seed.
    ///
    /// # Errors
    /// When the name is empty or has spaces, control characters or a plus sign.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = pair_from(seed)?;
        let verifier = Ed25519Verifier::new(name, KeyKind::Log, public_of(&pair)?)?;
        Ok(Self { pair, verifier })
    }
}

impl NoteSigner for Ed25519Signer {
    fn verifier(&self) -> &Ed25519Verifier {
        &self.verifier
    }

    fn sign_note(&self, text: &str) -> Result<NoteSignature, NoteError> {
        let bytes = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        Ok(NoteSignature { name: self.verifier.name.clone(), key_id: self.verifier.id, bytes })
    }
}

/// A witness's cosigning key, in memory. Use it for nothing else (C2SP tlog-cosignature).
pub struct Cosigner {
    pair: Ed25519KeyPair,
    verifier: Ed25519Verifier,
}

impl Cosigner {
    /// The key that `seed` stands for, under the witness's `name`. The caller zeroises its copy of the seed.
    ///
    /// # Errors
    /// When the name is empty or has spaces, control characters or a plus sign.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let pair = pair_from(seed)?;
        let verifier = Ed25519Verifier::new(name, KeyKind::Cosignature, public_of(&pair)?)?;
        Ok(Self { pair, verifier })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &Ed25519Verifier {
        &self.verifier
    }

    /// Says: as of `now`, this text is the largest consistent tree that this witness has seen of the log.
    ///
    /// Only [`crate::witness`] calls it, after its checks.
    ///
    /// # Errors
    /// When `now` is before 1970.
    pub(crate) fn cosign(&self, text: &str, now: Timestamp) -> Result<NoteSignature, NoteError> {
        let seconds = u64::try_from(now.as_seconds()).map_err(|_| NoteError::Signing)?;
        let signature = self.pair.sign(cosigned_message(text, seconds).as_bytes());
        let bytes = [seconds.to_be_bytes().as_slice(), signature.as_ref()].concat();
        Ok(NoteSignature { name: self.verifier.name.clone(), key_id: self.verifier.id, bytes })
    }
}

fn cosigned_message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// A public key that a verifier trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct Ed25519Verifier {
    name: String,
    kind: KeyKind,
    id: u32,
    public: [u8; 32],
}

impl Ed25519Verifier {
    /// The key under this name and for this purpose.
    ///
    /// # Errors
    /// When the name is empty or has spaces, control characters or a plus sign.
    pub fn new(name: &str, kind: KeyKind, public: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), kind, id: key_id(name, kind, &public), public })
    }

    /// Reads `name+id+key` (a "vkey"; C2SP signed-note, section verifier keys).
    ///
    /// # Errors
    /// When the text is malformed, of another kind of key, or its id does not fit.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey("not of the form name+id+key"));
        };
        let bytes =
            BASE64.decode(key.as_bytes()).map_err(|_| NoteError::VerifierKey("the key is not base 64"))?;
        let (kind, public) = match bytes.split_first() {
            Some((0x01, public)) => (KeyKind::Log, public),
            Some((0x04, public)) => (KeyKind::Cosignature, public),
            _ => return Err(NoteError::VerifierKey("neither an Ed25519 key nor a cosigner key")),
        };
        let public = public.try_into().map_err(|_| NoteError::VerifierKey("the key is not 32 bytes long"))?;
        let key = Self::new(name, kind, public)?;
        if HEXLOWER.encode(&key.id.to_be_bytes()) == id {
            Ok(key)
        } else {
            Err(NoteError::VerifierKey("the id does not fit the key"))
        }
    }

    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Short id of the key.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// What its signatures mean.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `signature` is this key's over the note text `text`.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        match self.kind {
            KeyKind::Log => key.verify(text.as_bytes(), signature).is_ok(),
            KeyKind::Cosignature => {
                let Some((seconds, signature)) = signature.split_first_chunk::<8>() else { return false };
                let seconds = u64::from_be_bytes(*seconds);
                i64::try_from(seconds).is_ok()
                    && key.verify(cosigned_message(text, seconds).as_bytes(), signature).is_ok()
            }
        }
    }
}

impl fmt::Display for Ed25519Verifier {
    /// The vkey text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind as u8], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id.to_be_bytes()), BASE64.encode(&key))
    }
}

impl fmt::Debug for Ed25519Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Verifier({self})")
    }
}

/// The keys that somebody trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifierSet(Vec<Ed25519Verifier>);

impl VerifierSet {
    /// A set of these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = Ed25519Verifier>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Ed25519Verifier] {
        &self.0
    }

    /// The keys with this name (more than one while a key is being rotated).
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|key| key.name == name).cloned().collect())
    }

    pub(crate) fn find(&self, name: &str, id: u32) -> Option<&Ed25519Verifier> {
        self.0.iter().find(|key| key.id == id && key.name == name)
    }
}

impl FromIterator<Ed25519Verifier> for VerifierSet {
    fn from_iter<I: IntoIterator<Item = Ed25519Verifier>>(keys: I) -> Self {
        Self::new(keys)
    }
}
