//! What a verification says.
//!
//! Invariant: every finding names its tenant and, where there is one, the first index that may be wrong.

use std::fmt;

use carekeep_kernel::{TenantId, Timestamp};

use crate::{checkpoint::CheckpointError, entry::EntryError, hash::RootHash};

/// Where something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At exactly this index.
    At(u64),
    /// At some index from `start` to before `end`; everything before `start` is proven.
    Within {
        /// First index that may be wrong.
        start: u64,
        /// One past the last index that may be wrong.
        end: u64,
    },
    /// Not at an index.
    WholeLog,
}

impl Place {
    /// The first index that may be wrong.
    #[must_use]
    pub const fn first_bad(self) -> Option<u64> {
        match self {
            Self::At(index) | Self::Within { start: index, .. } => Some(index),
            Self::WholeLog => None,
        }
    }
}

/// Where the root that is not met comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A checkpoint in the export, signed by a trusted key.
    Signed,
    /// A tree remembered outside the database.
    Remembered,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed",
            Self::Remembered => "remembered: FORK or rewrite",
        })
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// The whole log is gone.
    #[error("the whole log is missing")]
    MissingLog,
    /// The export has the log twice.
    #[error("the log is there twice")]
    RepeatedLog,
    /// The log ends before the size of a checkpoint that is still with it.
    #[error("TRUNCATED: a signed checkpoint covers {expected} entries")]
    Truncated {
        /// Entries that there should be at least.
        expected: u64,
    },
    /// The log and its checkpoints end before the size that is remembered.
    #[error("ROLLBACK: the log is remembered with {expected} entries")]
    Rollback {
        /// Entries that there should be at least.
        expected: u64,
    },
    /// The bytes of the row are no entry of a known version.
    #[error("no valid entry: {0}")]
    Entry(EntryError),
    /// The entry belongs to another tenant.
    #[error("the entry belongs to tenant {0}")]
    ForeignTenant(TenantId),
    /// The entry or its row is not in its place: something was removed, inserted or swapped.
    #[error("out of place: row {row} holds entry {entry}")]
    OutOfPlace {
        /// Index of the row.
        row: u64,
        /// Index inside the hashed bytes.
        entry: u64,
    },
    /// The row's leaf hash is not that of its bytes.
    #[error("the stored leaf hash is not that of the entry: one of them was changed")]
    Leaf,
    /// The entries do not lead to a root that was signed or is remembered.
    #[error("the first {size} entries do not lead to the root that is {by}")]
    Root {
        /// Size of the tree.
        size: u64,
        /// Who says so.
        by: Source,
    },
    /// Trusted keys have signed, or memory holds, two roots for the same size.
    #[error("FORK: two different roots for {size} entries")]
    Fork {
        /// Size of both trees.
        size: u64,
    },
    /// A checkpoint that is not signed by the log's trusted key, or not of this log.
    #[error("untrusted checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// A checkpoint stands behind entries that it covers, where it cannot be compared.
    #[error("a checkpoint of {size} entries stands behind them: export checkpoints first")]
    LateCheckpoint {
        /// Its size.
        size: u64,
    },
    /// No trusted checkpoint at all.
    #[error("no checkpoint with a trusted signature: nothing is proven")]
    Unsigned,
    /// Fewer witnesses than asked for.
    #[error("no checkpoint with enough witnesses")]
    Unwitnessed,
}

/// One thing that is wrong. A log has at most one finding of each kind: the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose log.
    pub tenant: TenantId,
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {}", self.tenant)?;
        match self.place {
            Place::At(index) => write!(f, ", entry {index}")?,
            Place::Within { start, end } => write!(f, ", entries {start} to {}", end.saturating_sub(1))?,
            Place::WholeLog => {}
        }
        write!(f, ": {}", self.what)
    }
}

/// What was found out about one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// Whose log.
    pub tenant: TenantId,
    /// Entries in the export.
    pub entries: u64,
    /// Checkpoints in the export.
    pub checkpoints: u64,
    /// Entries before this index are proven by a trusted signature. Those behind it are not yet covered by a checkpoint.
    pub proven: u64,
    /// Entries before this index are proven by a trusted signature and enough witnesses (at least one).
    pub witnessed: u64,
    /// Root over all entries in the export: what to remember for the next time, together with `entries`.
    pub root: RootHash,
    /// Time of the newest trusted checkpoint.
    pub newest_checkpoint: Option<Timestamp>,
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything that is wrong, log by log.
    pub findings: Vec<Finding>,
    /// The logs in the export.
    pub logs: Vec<LogReport>,
    /// Entries that were checked.
    pub entries: u64,
    /// Checkpoints that were checked.
    pub checkpoints: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first index of a tenant's log that may be wrong. A root that is not met only gives a range; when an entry
    /// inside that range is seen to be wrong, it is the one.
    #[must_use]
    pub fn first_bad(&self, tenant: TenantId) -> Option<u64> {
        let own = || self.findings.iter().filter(|finding| finding.tenant == tenant);
        let refined = |finding: &Finding| match (&finding.what, finding.place) {
            (What::Root { .. } | What::Fork { .. } | What::Unsigned, Place::Within { start, end }) => {
                let inside = own().filter(|other| other.what.is_about_an_entry());
                let inside = inside.filter_map(|other| other.place.first_bad());
                inside.filter(|index| (start..end).contains(index)).min().or(Some(start))
            }
            (_, place) => place.first_bad(),
        };
        own().filter_map(refined).min()
    }
}

impl What {
    const fn is_about_an_entry(&self) -> bool {
        matches!(self, Self::Entry(_) | Self::ForeignTenant(_) | Self::OutOfPlace { .. } | Self::Leaf)
    }
}
