//! Blind index tokens: equality search over sealed values without the values.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use carekeep_kernel::TenantId;

use crate::DataKey;

const LABEL: &[u8] = b"carekeep/blind-index/1";

/// The tenant's key for blind index tokens, derived from its data key of purpose `Index`.
///
/// A token is HMAC-SHA256 over an injective encoding of (parameter, patient salt, text), cut to 64 bits. Another
/// tenant has another key and another parameter another input, so equal values look unrelated across both. Whoever
/// can search for a token sees how often it occurs: which columns may have one is for [`planner`](crate::planner).
pub struct BlindIndexKey(Key);

impl BlindIndexKey {
    /// The index key of `tenant`. `key` must be its data key of purpose `Index`.
    #[must_use]
    pub fn derive(key: &DataKey, tenant: TenantId) -> Self {
        Self(Key::new(HMAC_SHA256, key.derive::<32>(LABEL, tenant.as_bytes()).as_slice()))
    }

    /// The token of `text` under search parameter `param`; salted by the patient where `scope_salt` gives one, so that
    /// the same diagnosis in two patients looks different.
    #[must_use]
    pub fn token(&self, param: i16, scope_salt: Option<[u8; 16]>, text: &str) -> i64 {
        let mut head = [0_u8; 19];
        head[..2].copy_from_slice(&param.to_be_bytes());
        head[2] = u8::from(scope_salt.is_some());
        head[3..].copy_from_slice(&scope_salt.unwrap_or_default());
        // The head has one length and the text comes last: no two inputs share an encoding.
        let mut mac = Context::with_key(&self.0);
        mac.update(&head);
        mac.update(text.as_bytes());
        let tag = mac.sign();
        let mut token = [0_u8; 8];
        token.copy_from_slice(&tag.as_ref()[..8]);
        i64::from_be_bytes(token)
    }

    /// As [`token`](Self::token), cut to its first `bits` (1 to 63), so that different values coincide on purpose; how
    /// many bits are right says [`planner::bits`](crate::planner::bits). Other numbers of bits give the whole token.
    #[must_use]
    pub fn coarse_token(&self, param: i16, scope_salt: Option<[u8; 16]>, text: &str, bits: u32) -> i64 {
        let token = self.token(param, scope_salt, text);
        if (1..64).contains(&bits) { (token.cast_unsigned() >> (64 - bits)).cast_signed() } else { token }
    }
}
