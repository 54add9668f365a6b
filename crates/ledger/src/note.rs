//! Signed notes (C2SP signed-note v1.0.0) and Ed25519 cosignatures (C2SP tlog-cosignature).
//!
//! Invariant: [`SignedNote::parse`] accepts exactly the bytes that [`SignedNote::to_string`](ToString) writes, and a
//! text is trusted only when a key that the caller configured has signed it; unknown keys are ignored, a bad
//! signature by a known key refuses the whole note.

mod keys;

use std::fmt;

use data_encoding::BASE64;

pub use keys::{Cosigner, Ed25519Signer, Ed25519Verifier, KeyKind, NoteSigner, VerifierSet};

/// No note that we read is longer; a checkpoint with 16 cosignatures is under 4 KiB.
const MAX_BYTES: usize = 64 * 1024;
/// C2SP asks for at least 16.
const MAX_SIGNATURES: usize = 64;

/// Why a note or a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is not in the format of a signed note.
    #[error("not a signed note ({0}): fetch it again, or treat it as damaged")]
    Malformed(&'static str),
    /// A key name is empty or has a space, a control character or a plus sign.
    #[error("{0:?} cannot name a key: use a name without spaces and without '+'")]
    KeyName(String),
    /// A verifier key text that does not parse or whose id does not fit its key.
    #[error("not a verifier key ({0}): copy the whole line name+id+key")]
    VerifierKey(&'static str),
    /// A known key's signature does not verify.
    #[error("the signature by {0} is wrong: the note was changed after signing")]
    BadSignature(String),
    /// Nobody that is trusted has signed.
    #[error("no trusted key has signed this note: check which keys you trust")]
    Untrusted,
    /// The signer could not sign.
    #[error("signing failed: check the signing key")]
    Signing,
}

/// One signature line of a note, verified or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Short id of the key (not a strong hash).
    pub key_id: u32,
    /// What the key made; its form depends on the kind of the key.
    pub bytes: Vec<u8>,
}

impl NoteSignature {
    /// Reads one line `— name base64`, without its newline.
    ///
    /// # Errors
    /// When the line is not in that form.
    pub fn parse_line(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("signature line");
        let rest = line.strip_prefix("\u{2014} ").ok_or_else(|| malformed.clone())?;
        let (name, encoded) = rest.split_once(' ').ok_or_else(|| malformed.clone())?;
        keys::check_name(name).map_err(|_| malformed.clone())?;
        let decoded = BASE64.decode(encoded.as_bytes()).map_err(|_| malformed.clone())?;
        let (key_id, bytes) = decoded.split_first_chunk::<4>().ok_or_else(|| malformed.clone())?;
        if bytes.is_empty() {
            return Err(malformed);
        }
        Ok(Self { name: name.to_owned(), key_id: u32::from_be_bytes(*key_id), bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "\u{2014} {} {}", self.name, BASE64.encode(&bytes))
    }
}

/// A text with its signatures, none of them checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs `text`, which must end in a newline and have no other control characters.
    ///
    /// # Errors
    /// When the text is malformed or the signer fails.
    pub fn sign(text: String, signer: &dyn NoteSigner) -> Result<Self, NoteError> {
        check_text(&text)?;
        let signature = signer.sign_note(&text)?;
        Ok(Self { text, signatures: vec![signature] })
    }

    /// Takes a note apart; checks its form, no signature.
    ///
    /// # Errors
    /// When the text is not in the format of a signed note, or has more than 64 signatures or 64 KiB.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_BYTES {
            return Err(NoteError::Malformed("longer than 64 KiB"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed("no blank line before the signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("no newline at the end"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse_line).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Malformed("more than 64 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signed text, with its final newline. Ignore it unless [`SignedNote::verify`] has passed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, unchecked.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line, such as a witness's answer.
    pub fn add_signature(&mut self, signature: NoteSignature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// The trusted keys that have signed, each once; signatures by unknown keys are ignored.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when a known key's signature is wrong, [`NoteError::Untrusted`] when no known key
    /// has signed.
    pub fn verify<'k>(&self, trusted: &'k VerifierSet) -> Result<Vec<&'k Ed25519Verifier>, NoteError> {
        let mut signers: Vec<&Ed25519Verifier> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = trusted.find(&signature.name, signature.key_id) else { continue };
            if !key.verifies(&self.text, &signature.bytes) {
                return Err(NoteError::BadSignature(signature.name.clone()));
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() { Err(NoteError::Untrusted) } else { Ok(signers) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("the text does not end in a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("a control character in the text"));
    }
    Ok(())
}
