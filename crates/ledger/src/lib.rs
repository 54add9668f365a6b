//! Merkle audit log: entries, checkpoints, proofs, witnesses, offline verification.
//!
//! One RFC 6962 tree per tenant over canonically encoded [`Entry`]s. The leaf of an entry is the hash of the bytes that
//! are *stored*: the sensitive part of an entry is sealed before it is encoded, so erasing its key later changes no hash.
//! A [`Checkpoint`] is a C2SP `tlog-checkpoint`; a [`witness`] remembers the last one it saw and cosigns only growth.
//!
//! Invariant: pure. No SQL, no files, no ambient time or randomness; verification needs public keys only, and nothing
//! here can open a sealed part.
//!
//! | To | use |
//! |---|---|
//! | append | [`Entry::encode`], [`leaf_hash`], [`Frontier::push`] |
//! | publish | [`Checkpoint::sign`], [`proof::consistency`] over [`proof::Grown`], [`witness::AddCheckpoint`] |
//! | prove one entry | [`proof::inclusion`], [`proof::verify_inclusion`] |
//! | check everything | [`export::Writer`], [`verify::verify_export`] |

pub mod checkpoint;
pub mod entry;
pub mod export;
pub mod frontier;
pub mod hash;
pub mod note;
pub mod proof;
pub mod verify;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, origin_of, tenant_of};
pub use entry::{Actor, Entry, EntryError, EntryRef, Outcome, ResourceRef, SealedDetail};
pub use frontier::{Frontier, FrontierError};
pub use hash::{LeafHash, NodeHash, RootHash, leaf_hash};
pub use note::{
    Cosigner, Ed25519Signer, Ed25519Verifier, KeyKind, NoteError, NoteSigner, SignedNote, VerifierSet,
};
