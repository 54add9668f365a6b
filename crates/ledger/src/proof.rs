//! Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2; checked as in RFC 9162 sections 2.1.3.2 and
//! 2.1.4.2).
//!
//! Invariant: making a proof asks only for hashes of ranges ([`Subtrees`]), wherever they are kept; checking one needs
//! the roots and nothing else, and refuses a proof that is longer or shorter than the right one.

use crate::{
    frontier::Frontier,
    hash::{LeafHash, NodeHash, RootHash, empty_root, node_hash},
};

/// Why no proof can be made, or one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not in a tree of this size.
    #[error("index {index} is not in a log of {size} entries: ask for a larger size")]
    NoSuchLeaf {
        /// Index that was asked for.
        index: u64,
        /// Number of leaves.
        size: u64,
    },
    /// The old size is larger than the new one.
    #[error("a log cannot shrink from {old} to {new} entries: this is a rollback")]
    Shrinks {
        /// Old size.
        old: u64,
        /// New size.
        new: u64,
    },
    /// The source does not have the hashes of a range.
    #[error("the hashes of entries {start} to {end} are not at hand: load them and try again")]
    Missing {
        /// First leaf of the range.
        start: u64,
        /// One past its last leaf.
        end: u64,
    },
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the signed root: the log or the proof was changed")]
    Wrong,
}

/// Where a prover gets hashes of parts of the tree from: leaves, tiles, or a frontier with what came after it.
pub trait Subtrees {
    /// `MTH(D[start:end])` of RFC 6962 section 2.1; none when the source does not hold it.
    ///
    /// Provers ask only for ranges that are subtrees of the tree: perfect ones (a power of two long, aligned to their
    /// length) and those at the right edge.
    fn subtree(&self, start: u64, end: u64) -> Option<NodeHash>;
}

impl Subtrees for [LeafHash] {
    /// Hashes the leaves of the range.
    fn subtree(&self, start: u64, end: u64) -> Option<NodeHash> {
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        let mut frontier = Frontier::empty();
        frontier.extend(self.get(range)?.iter().copied());
        Some(*frontier.root().as_bytes())
    }
}

impl Subtrees for Vec<LeafHash> {
    fn subtree(&self, start: u64, end: u64) -> Option<NodeHash> {
        self.as_slice().subtree(start, end)
    }
}

/// A log's frontier at some size and the leaves appended since: enough for a consistency proof from that size on, so
/// whoever signs checkpoints needs no older rows.
#[derive(Debug, Clone, Copy)]
pub struct Grown<'a> {
    /// The frontier at the old size.
    pub old: &'a Frontier,
    /// The leaves from there on.
    pub since: &'a [LeafHash],
}

impl Subtrees for Grown<'_> {
    fn subtree(&self, start: u64, end: u64) -> Option<NodeHash> {
        let size = self.old.size();
        if start >= size {
            return self.since.subtree(start - size, end - size);
        }
        let mut at = 0;
        for (node, bit) in self.old.nodes().iter().zip(ones_from_left(size)) {
            if at == start && at + bit == end {
                return Some(*node);
            }
            at += bit;
        }
        None
    }
}

/// The bits set in `size`, largest first.
fn ones_from_left(size: u64) -> impl Iterator<Item = u64> {
    (0..64).rev().map(|shift| 1_u64 << shift).filter(move |bit| size & bit != 0)
}

/// The largest power of two smaller than `n` (`k` in RFC 6962); `n` is at least two.
const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

fn range<S: Subtrees + ?Sized>(source: &S, start: u64, end: u64) -> Result<NodeHash, ProofError> {
    source.subtree(start, end).ok_or(ProofError::Missing { start, end })
}

/// The proof that the leaf at `index` is in the tree of the first `size` leaves (`PATH` of RFC 6962 section 2.1.1).
///
/// # Errors
/// When there is no such leaf or `source` lacks a hash.
pub fn inclusion<S: Subtrees + ?Sized>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<NodeHash>, ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let (mut start, mut end, mut from_root) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            from_root.push(range(source, middle, end)?);
            end = middle;
        } else {
            from_root.push(range(source, start, middle)?);
            start = middle;
        }
    }
    from_root.reverse();
    Ok(from_root)
}

/// The proof that the tree of `new` leaves starts with that of `old` leaves (`PROOF` of RFC 6962 section 2.1.2). Empty
/// when nothing has to be proven: `old` is zero or equals `new`.
///
/// # Errors
/// When `old` is larger than `new` or `source` lacks a hash.
pub fn consistency<S: Subtrees + ?Sized>(
    source: &S,
    old: u64,
    new: u64,
) -> Result<Vec<NodeHash>, ProofError> {
    if old > new {
        return Err(ProofError::Shrinks { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    // Walk from the root to the subtree that ends exactly at `old`.
    let (mut start, mut end, mut from_root) = (0, new, Vec::new());
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            from_root.push(range(source, middle, end)?);
            end = middle;
        } else {
            from_root.push(range(source, start, middle)?);
            start = middle;
        }
    }
    // When that subtree is the whole old tree, the verifier knows its hash already: the old root.
    if start > 0 {
        from_root.push(range(source, start, end)?);
    }
    from_root.reverse();
    Ok(from_root)
}

/// Checks that `leaf` is at `index` of the tree with this size and root.
///
/// # Errors
/// When it is not, or the proof has the wrong length.
pub fn verify_inclusion(
    leaf: LeafHash,
    index: u64,
    size: u64,
    proof: &[NodeHash],
    root: RootHash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf.as_bytes());
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A node without a right sibling moves up unchanged until it is a right child.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root.as_bytes() { Ok(()) } else { Err(ProofError::Wrong) }
}

/// Checks that the tree of `new` leaves starts with that of `old` leaves.
///
/// # Errors
/// When it does not, or the proof has the wrong length.
pub fn verify_consistency(
    (old, old_root): (u64, RootHash),
    (new, new_root): (u64, RootHash),
    proof: &[NodeHash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrinks { old, new });
    }
    if old == 0 || old == new {
        let expected = if old == new { new_root } else { empty_root() };
        let empty = new != 0 || new_root == empty_root();
        return if proof.is_empty() && empty && old_root == expected {
            Ok(())
        } else {
            Err(ProofError::Wrong)
        };
    }
    // The common subtree is the old root itself when `old` is a power of two.
    let (first, rest) = if old.is_power_of_two() {
        (old_root.as_bytes(), proof)
    } else {
        proof.split_first().ok_or(ProofError::Wrong)?
    };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1).unbounded_shr(shift), (new - 1).unbounded_shr(shift));
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    let right = last == 0 && old_hash == *old_root.as_bytes() && new_hash == *new_root.as_bytes();
    if right { Ok(()) } else { Err(ProofError::Wrong) }
}
