//! The unwrapped key of one tenant, purpose and generation. It can be used, not looked at.

use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType, Prk};
use zeroize::Zeroizing;

/// 32 uniformly random bytes, unwrapped by a key service; shared as `Arc<DataKey>`, wiped when the last holder drops it.
///
/// Deliberately without `Debug`, `Clone`, `Display`, `Serialize` and equality. Fetch it from the
/// [`KeyCache`](crate::KeyCache) for each operation: a holder that keeps it outlives the cache's time limit.
///
/// ```
/// fn shareable<T: Send + Sync>() {}
/// shareable::<carekeep_keys::DataKey>();
/// ```
/// ```compile_fail,E0277
/// fn printable<T: std::fmt::Debug>() {}
/// printable::<carekeep_keys::DataKey>();
/// ```
/// ```compile_fail,E0277
/// fn copyable<T: Clone>() {}
/// copyable::<carekeep_keys::DataKey>();
/// ```
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A key from the bytes that a key service returned.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// A derived secret of `N` bytes (at most 64), bound to `label` and `parts` by HKDF-Expand with SHA-256
    /// (RFC 5869 section 2.3; extraction is left out because the key is uniform already, section 3.3).
    ///
    /// The caller must see to it that `label` and `parts` concatenate injectively (fixed lengths here).
    pub(crate) fn derive<const N: usize>(&self, label: &[u8], parts: &[u8]) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0_u8; N]);
        let prk = Prk::new_less_safe(HKDF_SHA256, self.0.as_slice());
        let filled = prk.expand(&[label, parts], Len(N)).and_then(|okm| okm.fill(out.as_mut_slice()));
        // HKDF-SHA256 gives up to 8,160 bytes, and the lengths agree by type: this cannot fail. A key of zeros must
        // never be used all the same, so the process ends rather than go on.
        if filled.is_err() {
            std::process::abort();
        }
        out
    }
}

impl From<Zeroizing<[u8; 32]>> for DataKey {
    fn from(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self::new(bytes)
    }
}

#[derive(Clone, Copy)]
struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

impl From<hkdf::Okm<'_, Len>> for Len {
    fn from(okm: hkdf::Okm<'_, Len>) -> Self {
        *okm.len()
    }
}
