//! The right edge of a growing tree: all that an appender needs to know of what came before it.
//!
//! Invariant: holds exactly one hash per bit set in `size`, the perfect subtrees from left to right (largest first);
//! at most 64 hashes whatever the size of the log.

use crate::{
    checkpoint::Checkpoint,
    hash::{LeafHash, NodeHash, RootHash, empty_root, node_hash},
};

/// Stored or given parts that are no frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The number of hashes is not the number of perfect subtrees of the size.
    #[error("a frontier of size {size} has {expected} hashes, not {found}: rebuild it from the leaf hashes")]
    Count {
        /// Number of leaves that the parts claim.
        size: u64,
        /// Hashes that such a frontier has.
        expected: usize,
        /// Hashes that were given.
        found: usize,
    },
    /// The bytes are not eight bytes of size and a multiple of 32.
    #[error("stored frontier is damaged ({0} bytes): rebuild it from the leaf hashes")]
    Length(usize),
    /// The frontier does not give the root that was signed.
    #[error(
        "the stored frontier does not lead to the signed root at size {0}: stop appending and verify the log"
    )]
    NotSigned(u64),
}

/// The compact state of an RFC 6962 tree from which it can grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, left to right.
    nodes: Vec<NodeHash>,
}

impl Frontier {
    /// The frontier of a log without entries.
    #[must_use]
    pub const fn empty() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// Number of leaves; also the index that the next entry gets.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, left to right, largest first.
    #[must_use]
    pub fn nodes(&self) -> &[NodeHash] {
        &self.nodes
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: LeafHash) {
        let mut hash = *leaf.as_bytes();
        // Each trailing one bit of the size is a perfect subtree that the new leaf completes to the next larger one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.nodes.push(hash);
        self.size += 1;
    }

    /// Appends leaves in order.
    pub fn extend(&mut self, leaves: impl IntoIterator<Item = LeafHash>) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }

    /// The root of the tree at its present size (`MTH` of RFC 6962 section 2.1).
    #[must_use]
    pub fn root(&self) -> RootHash {
        let mut right_to_left = self.nodes.iter().rev();
        let Some(last) = right_to_left.next() else { return empty_root() };
        RootHash::from_bytes(right_to_left.fold(*last, |right, left| node_hash(left, &right)))
    }

    /// A frontier from its size and its hashes, left to right.
    ///
    /// # Errors
    /// When the number of hashes does not fit the size.
    pub fn from_parts(size: u64, nodes: Vec<NodeHash>) -> Result<Self, FrontierError> {
        let expected = usize::try_from(size.count_ones()).unwrap_or(usize::MAX);
        if nodes.len() == expected {
            Ok(Self { size, nodes })
        } else {
            Err(FrontierError::Count { size, expected, found: nodes.len() })
        }
    }

    /// Bytes to store beside a checkpoint: the size (eight bytes, big endian), then the hashes left to right.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * self.nodes.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        self.nodes.iter().for_each(|node| bytes.extend_from_slice(node));
        bytes
    }

    /// The frontier that [`Frontier::to_bytes`] stored.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let damaged = FrontierError::Length(bytes.len());
        let (size, rest) = bytes.split_first_chunk::<8>().ok_or(damaged)?;
        let (nodes, extra) = rest.as_chunks::<32>();
        if !extra.is_empty() {
            return Err(damaged);
        }
        Self::from_parts(u64::from_be_bytes(*size), nodes.to_vec())
    }

    /// The frontier to go on from after a restart: stored bytes that lead to the root of the last signed checkpoint.
    ///
    /// A log must never sign two inconsistent checkpoints (C2SP tlog-checkpoint); a writer that starts only from what
    /// it has signed, and then adds the leaves behind it, cannot.
    ///
    /// # Errors
    /// When the bytes are damaged or are not the frontier of `signed`.
    pub fn resume(bytes: &[u8], signed: &Checkpoint) -> Result<Self, FrontierError> {
        let frontier = Self::from_bytes(bytes)?;
        if frontier.size == signed.size && frontier.root() == signed.root {
            Ok(frontier)
        } else {
            Err(FrontierError::NotSigned(signed.size))
        }
    }
}
