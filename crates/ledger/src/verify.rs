//! Offline verification of an export, with public keys only.
//!
//! One pass: each entry is checked and hashed once, and the root is compared at every size that somebody signed or
//! remembers. Memory is O(log n) per log and one root per checkpoint. Nothing is opened: sealed parts are hashed as they lie
//! there, so a log verifies long after its keys are gone.
//!
//! Invariant: a clean report means that every entry before [`LogReport::proven`] is one that a trusted log key has
//! signed for, in its place, and that nothing the caller remembers is missing. What only memory can show (a log cut back
//! together with its checkpoints, or deleted whole) is found against [`Trust::remembered`].

mod log;
mod report;

use std::{collections::BTreeSet, io::Read};

use carekeep_kernel::TenantId;

use crate::{
    checkpoint::{Checkpoint, tenant_of},
    export::{ExportError, Reader, Record},
    hash::RootHash,
    note::VerifierSet,
};
use log::LogCheck;
pub use report::{Finding, LogReport, Place, Report, Source, What};

/// A tree that the verifier knows from elsewhere: the witness's memory, or an earlier verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// Whose log.
    pub tenant: TenantId,
    /// Number of entries it had.
    pub size: u64,
    /// Root over them.
    pub root: RootHash,
}

/// What the verifier believes before it looks at the export.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Log keys, each named by the origin of its log. A log with a key here must be in the export.
    pub log_keys: VerifierSet,
    /// Witness keys.
    pub witness_keys: VerifierSet,
    /// How many witnesses must have cosigned at least one checkpoint of each log; zero asks for none.
    pub quorum: usize,
    /// Trees remembered outside the database; what finds truncation, rollback, deletion and forks.
    pub remembered: Vec<Remembered>,
}

impl Trust {
    /// Remembers a checkpoint whose signature the caller has checked. One of a foreign origin is ignored.
    pub fn remember(&mut self, checkpoint: &Checkpoint) {
        if let Some(tenant) = tenant_of(&checkpoint.origin) {
            self.remembered.push(Remembered { tenant, size: checkpoint.size, root: checkpoint.root });
        }
    }

    /// The part that concerns one tenant, for an export of only that tenant.
    #[must_use]
    pub fn only(&self, tenant: TenantId) -> Self {
        Self {
            log_keys: self.log_keys.named(&crate::checkpoint::origin_of(tenant)),
            witness_keys: self.witness_keys.clone(),
            quorum: self.quorum,
            remembered: self.remembered.iter().filter(|tree| tree.tenant == tenant).copied().collect(),
        }
    }

    /// Every tenant whose log must be there.
    fn tenants(&self) -> BTreeSet<TenantId> {
        let keyed = self.log_keys.keys().iter().filter_map(|key| tenant_of(key.name()));
        keyed.chain(self.remembered.iter().map(|tree| tree.tenant)).collect()
    }
}

/// Verifies an export. Give a buffered reader.
///
/// # Errors
/// When the stream cannot be read, is damaged or cut off. Tampering with what the stream carries is no error but a
/// [`Finding`].
pub fn verify_export<R: Read>(input: R, trust: &Trust) -> Result<Report, ExportError> {
    let mut reader = Reader::new(input)?;
    let mut report = Report::default();
    let mut seen = BTreeSet::new();
    let mut current: Option<LogCheck<'_>> = None;
    while let Some(record) = reader.next_record()? {
        match (record, current.as_mut()) {
            (Record::Log(tenant), _) => {
                close(current.take(), &mut report);
                if !seen.insert(tenant) {
                    report.findings.push(Finding { tenant, place: Place::WholeLog, what: What::RepeatedLog });
                }
                current = Some(LogCheck::new(tenant, trust));
            }
            (Record::Checkpoint(note), Some(log)) => log.checkpoint(note),
            (Record::Entry { index, leaf, bytes }, Some(log)) => log.entry(index, leaf, bytes),
            // A row that belongs to no log is not what a writer writes.
            (_, None) => return Err(ExportError::Damaged(1)),
        }
    }
    close(current.take(), &mut report);
    for tenant in trust.tenants().into_iter().filter(|tenant| !seen.contains(tenant)) {
        report.findings.push(Finding { tenant, place: Place::At(0), what: What::MissingLog });
    }
    Ok(report)
}

fn close(log: Option<LogCheck<'_>>, report: &mut Report) {
    if let Some((log, findings)) = log.map(LogCheck::finish) {
        report.entries += log.entries;
        report.checkpoints += log.checkpoints;
        report.findings.extend(findings);
        report.logs.push(log);
    }
}
