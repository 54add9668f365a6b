//! The check of one log, entry by entry.
//!
//! Invariant: the tree is built over hashes computed here, never over stored ones; a stored leaf hash only helps to say
//! *which* entry was changed.

use std::{collections::BTreeMap, mem};

use carekeep_kernel::{TenantId, Timestamp};

use super::{
    Trust,
    report::{Finding, LogReport, Place, Source, What},
};
use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint, origin_of},
    entry::EntryRef,
    frontier::Frontier,
    hash::{LeafHash, RootHash, leaf_hash},
    note::VerifierSet,
};

/// A root that the log must have at some size.
struct Claim {
    root: RootHash,
    source: Source,
    witnessed: bool,
}

pub(super) struct LogCheck<'t> {
    tenant: TenantId,
    trust: &'t Trust,
    keys: VerifierSet,
    origin: String,
    frontier: Frontier,
    /// Roots still to be met, by size.
    claims: BTreeMap<u64, Vec<Claim>>,
    /// The smallest size in `claims`, looked at after every entry.
    next_claim: u64,
    checkpoints: u64,
    signed: bool,
    proven: u64,
    witnessed: Option<u64>,
    newest: Option<Timestamp>,
    findings: Vec<Finding>,
}

impl<'t> LogCheck<'t> {
    pub(super) fn new(tenant: TenantId, trust: &'t Trust) -> Self {
        let origin = origin_of(tenant);
        let mut check = Self {
            tenant,
            trust,
            keys: trust.log_keys.named(&origin),
            origin,
            frontier: Frontier::empty(),
            claims: BTreeMap::new(),
            next_claim: u64::MAX,
            checkpoints: 0,
            signed: false,
            proven: 0,
            witnessed: None,
            newest: None,
            findings: Vec::new(),
        };
        for tree in trust.remembered.iter().filter(|tree| tree.tenant == tenant) {
            let claim = Claim { root: tree.root, source: Source::Remembered, witnessed: false };
            check.claim(tree.size, claim);
        }
        check
    }

    /// Keeps the first finding of each kind: what follows from it would only hide it.
    fn find(&mut self, place: Place, what: What) {
        let kind = mem::discriminant(&what);
        if !self.findings.iter().any(|finding| mem::discriminant(&finding.what) == kind) {
            self.findings.push(Finding { tenant: self.tenant, place, what });
        }
    }

    /// The entries from the last proven one up to `size`.
    fn unproven(&self, size: u64) -> Place {
        if size > self.proven { Place::Within { start: self.proven, end: size } } else { Place::WholeLog }
    }

    pub(super) fn checkpoint(&mut self, note: &[u8]) {
        self.checkpoints += 1;
        match self.trusted_claim(note) {
            Ok((size, claim)) => self.claim(size, claim),
            Err(error) => self.find(Place::WholeLog, What::Checkpoint(error)),
        }
    }

    fn trusted_claim(&mut self, note: &[u8]) -> Result<(u64, Claim), CheckpointError> {
        let note = std::str::from_utf8(note).map_err(|_| CheckpointError::Malformed("not UTF-8"))?;
        let signed = SignedCheckpoint::parse(note)?;
        if signed.claimed().origin != self.origin {
            return Err(CheckpointError::Malformed("of another log"));
        }
        let cosigners = signed.cosigners(&self.trust.witness_keys)?;
        let checkpoint = signed.verify(&self.keys)?;
        self.signed = true;
        self.newest = self.newest.max(Some(checkpoint.at));
        let witnessed = cosigners >= self.trust.quorum.max(1);
        Ok((checkpoint.size, Claim { root: checkpoint.root, source: Source::Signed, witnessed }))
    }

    fn claim(&mut self, size: u64, claim: Claim) {
        let here = self.frontier.size();
        if size < here {
            self.find(Place::WholeLog, What::LateCheckpoint { size });
        } else if size == here {
            self.settle(size, &[claim]);
        } else {
            let claims = self.claims.entry(size).or_default();
            let forked = claims.iter().any(|other| other.root != claim.root);
            // Heartbeats of an idle log repeat one claim thousands of times.
            match claims.iter_mut().find(|other| other.root == claim.root && other.source == claim.source) {
                Some(known) => known.witnessed |= claim.witnessed,
                None => claims.push(claim),
            }
            self.next_claim = self.next_claim.min(size);
            if forked {
                self.find(self.unproven(size), What::Fork { size });
            }
        }
    }

    pub(super) fn entry(&mut self, row: u64, stored_leaf: LeafHash, bytes: &[u8]) {
        let position = self.frontier.size();
        let leaf = leaf_hash(bytes);
        if leaf != stored_leaf {
            self.find(Place::At(position), What::Leaf);
        }
        match EntryRef::parse(bytes) {
            Err(error) => self.find(Place::At(position), What::Entry(error)),
            Ok(entry) => {
                if entry.tenant != self.tenant {
                    self.find(Place::At(position), What::ForeignTenant(entry.tenant));
                }
                if entry.index != position || row != position {
                    let place = out_of_place(position, row, entry.index);
                    self.find(place, What::OutOfPlace { row, entry: entry.index });
                }
            }
        }
        self.frontier.push(leaf);
        if self.frontier.size() == self.next_claim {
            self.meet_claims();
        }
    }

    fn meet_claims(&mut self) {
        if let Some((size, claims)) = self.claims.pop_first() {
            self.settle(size, &claims);
        }
        self.next_claim = self.claims.first_key_value().map_or(u64::MAX, |(size, _)| *size);
    }

    /// Compares the root that the entries lead to with those it should be.
    fn settle(&mut self, size: u64, claims: &[Claim]) {
        let root = self.frontier.root();
        for claim in claims.iter().filter(|claim| claim.root != root) {
            self.find(self.unproven(size), What::Root { size, by: claim.source });
        }
        for claim in claims.iter().filter(|claim| claim.root == root && claim.source == Source::Signed) {
            self.proven = size;
            if claim.witnessed {
                self.witnessed = Some(size);
            }
        }
    }

    pub(super) fn finish(mut self) -> (LogReport, Vec<Finding>) {
        let entries = self.frontier.size();
        let furthest = |source: Source| {
            let unmet = self.claims.iter().rev();
            unmet.clone().find(|(_, claims)| claims.iter().any(|c| c.source == source)).map(|(size, _)| *size)
        };
        let (signed, remembered) = (furthest(Source::Signed), furthest(Source::Remembered));
        if let Some(expected) = signed {
            self.find(Place::At(entries), What::Truncated { expected });
        }
        if let Some(expected) = remembered {
            self.find(Place::At(entries), What::Rollback { expected });
        }
        if !self.signed {
            self.find(self.unproven(entries), What::Unsigned);
        }
        if self.trust.quorum > 0 && self.witnessed.is_none() {
            self.find(Place::WholeLog, What::Unwitnessed);
        }
        let report = LogReport {
            tenant: self.tenant,
            entries,
            checkpoints: self.checkpoints,
            proven: self.proven,
            witnessed: self.witnessed.unwrap_or(0),
            root: self.frontier.root(),
            newest_checkpoint: self.newest,
        };
        (report, self.findings)
    }
}

/// An entry that says it belongs further left stands behind something inserted, which may itself look right: the
/// suspects start where it says it belongs.
fn out_of_place(position: u64, row: u64, entry: u64) -> Place {
    let claimed = row.min(entry);
    if claimed < position { Place::Within { start: claimed, end: position + 1 } } else { Place::At(position) }
}
