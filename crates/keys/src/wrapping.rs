//! Wrapping of data keys by the key services that live in this process: an envelope whose associated data is the
//! encryption context.

use carekeep_kernel::{Random, random::bytes};
use zeroize::Zeroizing;

use crate::{
    DataKey, EnvelopeError, KeyContext, KeyError, Wrapped,
    envelope::{open_bytes, seal_bytes},
};

/// A fresh data key and its wrapping under `master`, bound to `aad`.
pub(crate) fn wrap_fresh(
    master: &DataKey,
    aad: &[u8],
    context: &KeyContext,
    random: &dyn Random,
) -> Result<(Zeroizing<[u8; 32]>, Wrapped), KeyError> {
    let plain = Zeroizing::new(bytes::<32>(random));
    let wrapped =
        seal_bytes(master, context.generation, aad, plain.as_slice(), random).map_err(wrong_context)?;
    Ok((plain, Wrapped(wrapped)))
}

/// The data key in `wrapped`.
pub(crate) fn unwrap_with(
    master: &DataKey,
    aad: &[u8],
    wrapped: &Wrapped,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let plain = open_bytes(master, aad, &wrapped.0).map_err(wrong_context)?;
    let mut key = Zeroizing::new([0_u8; 32]);
    if plain.len() != key.len() {
        return Err(KeyError::WrongContext);
    }
    key.copy_from_slice(&plain);
    Ok(key)
}

fn wrong_context(_: EnvelopeError) -> KeyError {
    KeyError::WrongContext
}
