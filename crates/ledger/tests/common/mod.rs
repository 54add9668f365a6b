//! What the tests share: small logs with keys, and a naive RFC 6962 written straight from its text.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "shared by tests, each of which uses a part of it"
)]

use std::time::Duration;

use carekeep_kernel::{
    DeviceId, EntryId, ManualClock, PersonId, Random, ResourceId, SeededRandom, SessionId, TenantId,
    Timestamp, random,
};
use carekeep_ledger::{
    Actor, Checkpoint, Cosigner, Ed25519Signer, Entry, Frontier, LeafHash, NodeHash, NoteSigner, Outcome,
    ResourceRef, RootHash, SealedDetail, VerifierSet, hash, leaf_hash, origin_of,
    verify::{Report, Trust, verify_export},
    witness::{AddCheckpoint, WitnessState},
};

pub const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// `MTH(D[n])`, RFC 6962 section 2.1, word by word.
pub fn naive_root(leaves: &[LeafHash]) -> NodeHash {
    match leaves {
        [] => *hash::empty_root().as_bytes(),
        [leaf] => *leaf.as_bytes(),
        _ => {
            let (left, right) = leaves.split_at(naive_split(leaves.len()));
            hash::node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// The largest power of two smaller than `n`.
fn naive_split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// `PATH(m, D[n])`, RFC 6962 section 2.1.1.
pub fn naive_path(m: usize, leaves: &[LeafHash]) -> Vec<NodeHash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if m < k {
        (naive_path(m, left), naive_root(right))
    } else {
        (naive_path(m - k, right), naive_root(left))
    };
    path.push(sibling);
    path
}

/// `SUBPROOF(m, D[n], b)`, RFC 6962 section 2.1.2.
pub fn naive_subproof(m: usize, leaves: &[LeafHash], whole: bool) -> Vec<NodeHash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (naive_subproof(m, left, whole), naive_root(right))
    } else {
        (naive_subproof(m - k, right, false), naive_root(left))
    };
    proof.push(sibling);
    proof
}

/// `n` different leaves.
pub fn leaves(n: usize) -> Vec<LeafHash> {
    (0..n).map(|i| leaf_hash(format!("leaf {i}").as_bytes())).collect()
}

pub fn root(leaves: &[LeafHash]) -> RootHash {
    RootHash::from_bytes(naive_root(leaves))
}

pub fn number(random: &dyn Random) -> u64 {
    u64::from_be_bytes(random::bytes(random))
}

/// A plausible entry, different for every call.
pub fn entry(random: &SeededRandom, tenant: TenantId, index: u64) -> Entry {
    let clock = ManualClock::at(START + Duration::from_millis(index));
    let optional = |present: u64| number(random) % 4 < present;
    let word = |words: &[&str]| words[usize::try_from(number(random)).unwrap_or(0) % words.len()].to_owned();
    let resources = 1 + number(random) % 3;
    Entry {
        version: Entry::VERSION,
        tenant,
        index,
        id: EntryId::generate(&clock, random),
        at: START + Duration::from_millis(index),
        request: optional(3).then(|| random::bytes(random)),
        actor: Actor {
            person: optional(3).then(|| PersonId::generate(&clock, random)),
            session: optional(3).then(|| SessionId::generate(&clock, random)),
            roles: vec![word(&["clinician", "nurse", "patient"])],
            aal: 2,
            device: optional(1).then(|| DeviceId::generate(&clock, random)),
        },
        action: word(&["read", "search", "update"]),
        kind: word(&["Patient", "Observation", "Condition"]),
        resources: (0..resources)
            .map(|version| ResourceRef {
                id: ResourceId::generate(&clock, random),
                version: optional(2).then_some(version),
            })
            .collect(),
        patients: vec![random::bytes(random)],
        purpose: "TREAT".to_owned(),
        consent: optional(1).then(|| ResourceId::generate(&clock, random)),
        break_glass: optional(1),
        outcome: Outcome::Permitted,
        policies: vec!["clinician-reads-panel".to_owned()],
        policy_digest: random::bytes(random),
        detail: optional(3).then(|| SealedDetail(random::bytes::<48>(random).to_vec())),
    }
}

/// A row of `audit_entry`.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    pub idx: u64,
    pub leaf: LeafHash,
    pub bytes: Vec<u8>,
}

impl Row {
    pub fn of(entry: &Entry) -> Self {
        let bytes = entry.encode();
        Self { idx: entry.index, leaf: leaf_hash(&bytes), bytes }
    }

    /// Changes the entry as somebody would who knows how entries are encoded and hashed.
    pub fn forge(&mut self, change: impl FnOnce(&mut Entry)) {
        let mut entry = Entry::decode(&self.bytes).expect("a row of a good log");
        change(&mut entry);
        *self = Self { idx: self.idx, ..Self::of(&entry) };
    }
}

/// What the database of one tenant holds.
#[derive(Clone)]
pub struct Log {
    pub tenant: TenantId,
    pub rows: Vec<Row>,
    pub checkpoints: Vec<String>,
}

/// A cell with its logs and the keys to them.
pub struct Cell {
    pub logs: Vec<Log>,
    pub signers: Vec<Ed25519Signer>,
    pub random: SeededRandom,
}

pub fn frontier(rows: &[Row]) -> Frontier {
    let mut frontier = Frontier::empty();
    frontier.extend(rows.iter().map(|row| row.leaf));
    frontier
}

impl Log {
    pub fn sign(&self, size: usize, signer: &dyn NoteSigner) -> String {
        let root = frontier(&self.rows[..size]).root();
        let at = START + Duration::from_secs(size as u64);
        Checkpoint::new(self.tenant, size as u64, root, at).sign(signer).expect("own key").to_string()
    }

    pub fn leaves(&self) -> Vec<LeafHash> {
        self.rows.iter().map(|row| row.leaf).collect()
    }
}

impl Cell {
    /// Logs of these sizes; a checkpoint every `every` entries and one at the end.
    pub fn new(seed: u64, sizes: &[usize], every: usize) -> Self {
        let random = SeededRandom::new(seed);
        let clock = ManualClock::at(START);
        let (mut logs, mut signers) = (Vec::new(), Vec::new());
        for size in sizes {
            let tenant = TenantId::generate(&clock, &random);
            let signer = Ed25519Signer::from_seed(&origin_of(tenant), &random::bytes(&random)).expect("name");
            let rows = (0..*size as u64).map(|index| Row::of(&entry(&random, tenant, index))).collect();
            let mut log = Log { tenant, rows, checkpoints: Vec::new() };
            let ends = (0..=*size).filter(|at| at % every == 0 || at == size);
            log.checkpoints = ends.map(|at| log.sign(at, &signer)).collect();
            logs.push(log);
            signers.push(signer);
        }
        Self { logs, signers, random }
    }

    pub fn keys(&self) -> VerifierSet {
        self.signers.iter().map(|signer| signer.verifier().clone()).collect()
    }

    /// Public keys and nothing else.
    pub fn trust(&self) -> Trust {
        Trust { log_keys: self.keys(), ..Trust::default() }
    }

    /// Public keys, and the trees that a witness cosigned last.
    pub fn witnessed_trust(&self) -> Trust {
        let mut trust = self.trust();
        for (_, checkpoint) in self.witness().trees().filter_map(|(origin, tree)| {
            let tenant = carekeep_ledger::tenant_of(origin)?;
            Some((origin, Checkpoint::new(tenant, tree.size, tree.root, START)))
        }) {
            trust.remember(&checkpoint);
        }
        trust
    }

    /// A witness that has seen the newest checkpoint of every log.
    pub fn witness(&self) -> WitnessState {
        let cosigner = Cosigner::from_seed("witness.example/w1", &[9; 32]).expect("name");
        let mut witness = WitnessState::new();
        for log in &self.logs {
            witness.trust(&origin_of(log.tenant), &self.keys(), None);
            let newest = log.checkpoints.last().expect("at least one");
            let checkpoint = carekeep_ledger::SignedCheckpoint::parse(newest).expect("own checkpoint");
            let request = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint };
            witness.update(&request, &cosigner, START).expect("clean growth");
        }
        witness
    }
}

/// Exports the logs as the binary would.
pub fn export(logs: &[Log]) -> Vec<u8> {
    let mut writer = carekeep_ledger::export::Writer::new(Vec::new()).expect("memory");
    for log in logs {
        writer.log(log.tenant).expect("memory");
        log.checkpoints.iter().for_each(|note| writer.checkpoint(note).expect("memory"));
        log.rows.iter().for_each(|row| writer.entry(row.idx, row.leaf, &row.bytes).expect("memory"));
    }
    writer.finish().expect("memory")
}

pub fn verify(logs: &[Log], trust: &Trust) -> Report {
    verify_export(export(logs).as_slice(), trust).expect("a readable export")
}
