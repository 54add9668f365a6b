//! Pseudonyms: ids that stand for a patient where the patient must not be named.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use carekeep_kernel::TenantId;

use crate::DataKey;

const LABEL: &[u8] = b"carekeep/pseudonym/1";

/// The tenant's pseudonym key, derived from its data key of purpose `Pseudonym`.
///
/// Deterministic inside a tenant (so that "who saw this patient" can be asked), unlinkable across tenants, and not
/// reversible without the key. Destroying the key severs every pseudonym for good.
pub struct PseudonymKey(Key);

impl PseudonymKey {
    /// The pseudonym key of `tenant`. `key` must be its data key of purpose `Pseudonym`.
    #[must_use]
    pub fn derive(key: &DataKey, tenant: TenantId) -> Self {
        Self(Key::new(HMAC_SHA256, key.derive::<32>(LABEL, tenant.as_bytes()).as_slice()))
    }

    /// The pseudonym of `id`: HMAC-SHA256, cut to 128 bits.
    #[must_use]
    pub fn pseudonym(&self, id: &[u8; 16]) -> [u8; 16] {
        let mut out = [0_u8; 16];
        out.copy_from_slice(&sign(&self.0, id).as_ref()[..16]);
        out
    }
}
