//! The envelope: one sealed value. Argued in `docs/adr/0003-envelope.md`; frozen by `tests/vectors/envelope_v1.json`.
//!
//! ```text
//! 0xC1 | generation u32 BE | salt 24 | key commitment 32 | AES-256-GCM ciphertext | tag 16
//! record key | commitment = HKDF-Expand(SHA-256, data key, "carekeep/envelope/1" | salt, 64 bytes)
//! ```
//!
//! Invariant: the record key is used for one message only (fresh salt), which is why the nonce may be zero; and the
//! commitment is compared before anything is decrypted.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad as GcmAad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
};
use carekeep_kernel::{Random, random::bytes};
use zeroize::{Zeroize, Zeroizing};

use crate::{Aad, DataKey, EnvelopeError};

/// The first byte of an envelope of format 1.
pub const FORMAT_V1: u8 = 0xC1;
/// Bytes of random salt in an envelope.
pub const SALT_LEN: usize = 24;
const COMMITMENT_LEN: usize = 32;
const TAG_LEN: usize = 16;
const SALT_AT: usize = 1 + 4;
const COMMITMENT_AT: usize = SALT_AT + SALT_LEN;
const HEADER_LEN: usize = COMMITMENT_AT + COMMITMENT_LEN;
/// How many bytes an envelope is longer than its plaintext.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// NIST SP 800-38D section 5.2.1.1: at most 2^39 - 256 bits in one message.
const MAX_PLAINTEXT: u64 = (1 << 36) - 32;
const LABEL: &[u8] = b"carekeep/envelope/1";

/// Seals `plaintext` under the data key of `generation` to the place that `aad` names.
///
/// # Errors
/// [`EnvelopeError::NameTooLong`] and [`EnvelopeError::TooLong`].
pub fn seal(
    key: &DataKey,
    generation: u32,
    aad: &Aad<'_>,
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, EnvelopeError> {
    seal_bytes(key, generation, &aad.encode(FORMAT_V1, generation)?, plaintext, random)
}

/// Opens an envelope that was sealed under `key` to the place that `aad` names.
///
/// # Errors
/// [`EnvelopeError::Truncated`], [`EnvelopeError::UnknownFormat`], [`EnvelopeError::WrongKey`],
/// [`EnvelopeError::Tampered`], [`EnvelopeError::NameTooLong`]. No plaintext leaves on any of them.
pub fn open(key: &DataKey, aad: &Aad<'_>, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let parts = Parts::of(envelope)?;
    open_parts(key, &aad.encode(FORMAT_V1, parts.generation)?, &parts)
}

/// Opens an envelope in its own buffer and gives the part of it that is now the plaintext. The caller must wipe the
/// buffer; on an error this function has wiped it.
///
/// # Errors
/// As [`open`].
pub fn open_in_place<'e>(
    key: &DataKey,
    aad: &Aad<'_>,
    envelope: &'e mut [u8],
) -> Result<&'e mut [u8], EnvelopeError> {
    let length = envelope.len();
    let opened = open_tail(key, aad, envelope);
    if opened.is_err() {
        envelope.zeroize();
    }
    opened.map(|()| &mut envelope[HEADER_LEN..length - TAG_LEN])
}

fn open_tail(key: &DataKey, aad: &Aad<'_>, envelope: &mut [u8]) -> Result<(), EnvelopeError> {
    let parts = Parts::of(envelope)?;
    let aad = aad.encode(FORMAT_V1, parts.generation)?;
    let record_key = committed_key(key, &parts)?;
    record_key
        .open_in_place(zero_nonce(), GcmAad::from(aad.as_slice()), &mut envelope[HEADER_LEN..])
        .map(|_plaintext| ())
        .map_err(|_| EnvelopeError::Tampered)
}

/// The generation of the data key that opens this envelope. Not authenticated before the envelope is opened: use it
/// to pick the key and for nothing else.
///
/// # Errors
/// [`EnvelopeError::Truncated`], [`EnvelopeError::UnknownFormat`].
pub fn generation(envelope: &[u8]) -> Result<u32, EnvelopeError> {
    Parts::of(envelope).map(|parts| parts.generation)
}

pub(crate) fn seal_bytes(
    key: &DataKey,
    generation: u32,
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, EnvelopeError> {
    if u64::try_from(plaintext.len()).map_or(true, |length| length > MAX_PLAINTEXT) {
        return Err(EnvelopeError::TooLong(plaintext.len()));
    }
    let salt = bytes::<SALT_LEN>(random);
    let derived = key.derive::<64>(LABEL, &salt);
    // Wiped on the way out if sealing fails; complete in capacity, so the plaintext is never left behind by growth.
    let mut out = Zeroizing::new(Vec::with_capacity(OVERHEAD + plaintext.len()));
    out.push(FORMAT_V1);
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&salt);
    out.extend_from_slice(&derived[32..]);
    out.extend_from_slice(plaintext);
    let tag = gcm(&derived[..32])?
        .seal_in_place_separate_tag(zero_nonce(), GcmAad::from(aad), &mut out[HEADER_LEN..])
        .map_err(|_| EnvelopeError::TooLong(plaintext.len()))?;
    out.extend_from_slice(tag.as_ref());
    Ok(std::mem::take(&mut *out))
}

pub(crate) fn open_bytes(
    key: &DataKey,
    aad: &[u8],
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    open_parts(key, aad, &Parts::of(envelope)?)
}

fn open_parts(key: &DataKey, aad: &[u8], parts: &Parts<'_>) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let record_key = committed_key(key, parts)?;
    let mut plaintext = Zeroizing::new(vec![0_u8; parts.ciphertext.len()]);
    record_key
        .open_separate_gather(zero_nonce(), GcmAad::from(aad), parts.ciphertext, parts.tag, &mut plaintext)
        .map_err(|_| EnvelopeError::Tampered)?;
    Ok(plaintext)
}

/// The record key, given only if the envelope commits to the data key it is derived from.
fn committed_key(key: &DataKey, parts: &Parts<'_>) -> Result<LessSafeKey, EnvelopeError> {
    let derived = key.derive::<64>(LABEL, parts.salt);
    verify_slices_are_equal(&derived[32..], parts.commitment).map_err(|_| EnvelopeError::WrongKey)?;
    gcm(&derived[..32])
}

fn gcm(record_key: &[u8]) -> Result<LessSafeKey, EnvelopeError> {
    // Fails only on a wrong key length, which the callers' types rule out.
    UnboundKey::new(&AES_256_GCM, record_key).map(LessSafeKey::new).map_err(|_| EnvelopeError::WrongKey)
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

struct Parts<'e> {
    generation: u32,
    salt: &'e [u8],
    commitment: &'e [u8],
    ciphertext: &'e [u8],
    tag: &'e [u8],
}

impl<'e> Parts<'e> {
    fn of(envelope: &'e [u8]) -> Result<Self, EnvelopeError> {
        let truncated = EnvelopeError::Truncated(envelope.len());
        let (&format, rest) = envelope.split_first().ok_or(truncated)?;
        if format != FORMAT_V1 {
            return Err(EnvelopeError::UnknownFormat(format));
        }
        let (generation, rest) = rest.split_first_chunk::<4>().ok_or(truncated)?;
        let (salt, rest) = rest.split_first_chunk::<SALT_LEN>().ok_or(truncated)?;
        let (commitment, rest) = rest.split_first_chunk::<COMMITMENT_LEN>().ok_or(truncated)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(truncated)?;
        let generation = u32::from_be_bytes(*generation);
        Ok(Self { generation, salt, commitment, ciphertext, tag })
    }
}
