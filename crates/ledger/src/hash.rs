//! The hashes of an RFC 6962 Merkle tree (section 2.1): SHA-256 with one byte that keeps leaves and nodes apart.
//!
//! Invariant: a leaf can never be taken for an inner node, because their inputs start with different bytes.

use std::fmt;

use aws_lc_rs::digest::{self, SHA256};
use data_encoding::BASE64;

const LEAF_PREFIX: u8 = 0x00;
const NODE_PREFIX: u8 = 0x01;
/// Entries up to this length are hashed from one buffer on the stack, which is faster than two updates of a context.
const ON_STACK: usize = 1024;

/// The hash of any complete or partial subtree, as it travels in proofs.
pub type NodeHash = [u8; 32];

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The hash that was stored or received as these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes to store or to send.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            /// Base 64 (RFC 4648 section 4), as in a checkpoint.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hash_type! {
    /// The hash of one stored entry: column `leaf` of `audit_entry`.
    LeafHash
}
hash_type! {
    /// The hash of a whole tree at some size.
    RootHash
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
    out
}

/// `SHA-256(0x00 || entry)`, over the bytes that are stored (RFC 6962 section 2.1).
#[must_use]
pub fn leaf_hash(entry_bytes: &[u8]) -> LeafHash {
    if let Some(buffer) = [LEAF_PREFIX; ON_STACK + 1].get_mut(..=entry_bytes.len()) {
        buffer[1..].copy_from_slice(entry_bytes);
        return LeafHash(sha256(buffer));
    }
    let mut context = digest::Context::new(&SHA256);
    context.update(&[LEAF_PREFIX]);
    context.update(entry_bytes);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    LeafHash(out)
}

/// `SHA-256(0x01 || left || right)` (RFC 6962 section 2.1).
#[must_use]
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    let mut buffer = [NODE_PREFIX; 65];
    buffer[1..33].copy_from_slice(left);
    buffer[33..].copy_from_slice(right);
    sha256(&buffer)
}

/// The root of a tree without leaves: the hash of nothing (RFC 6962 section 2.1).
#[must_use]
pub fn empty_root() -> RootHash {
    RootHash(sha256(&[]))
}

/// SHA-256 of `bytes`, for key ids.
pub(crate) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    sha256(bytes)
}
