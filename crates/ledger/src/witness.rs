//! The witness: remembers the last tree of each log that it cosigned, and cosigns only what grew from it (C2SP
//! tlog-witness, `add-checkpoint`).
//!
//! Invariant: for each origin the cosigned sizes never go down, and each cosigned tree is a prefix of the next. The state
//! machine is pure; its owner must **store [`Cosigned::tree`] before it sends the cosignature**, and run one update at a
//! time for an origin (`&mut self` sees to the latter).

use std::{collections::BTreeMap, fmt::Write as _};

use carekeep_kernel::Timestamp;
use data_encoding::BASE64;

use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint},
    hash::{NodeHash, RootHash, empty_root},
    note::{Cosigner, NoteError, NoteSignature, VerifierSet},
    proof::{ProofError, verify_consistency},
};

/// Most hashes in a consistency proof (C2SP tlog-witness).
const MAX_PROOF: usize = 63;

/// Size and root of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: RootHash,
}

/// A request to cosign: the size that the log believes was cosigned last, the proof from there, the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the tree that the witness cosigned last; zero when none.
    pub old_size: u64,
    /// Consistency proof from there to the checkpoint.
    pub proof: Vec<NodeHash>,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] when the body is malformed.
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let bad = Refusal::BadRequest;
        let (head, note) = body.split_once("\n\n").ok_or(bad("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(bad("no old size line"))?;
        let old_size: u64 = old.parse().map_err(|_| bad("the old size is not a number"))?;
        if old_size.to_string() != old {
            return Err(bad("the old size is not in canonical form"));
        }
        let proof =
            lines.map(parse_hash).collect::<Option<Vec<_>>>().ok_or(bad("a proof line is no hash"))?;
        if proof.len() > MAX_PROOF {
            return Err(bad("more than 63 proof lines"));
        }
        let checkpoint = SignedCheckpoint::parse(note).map_err(|_| bad("no checkpoint"))?;
        Ok(Self { old_size, proof, checkpoint })
    }

    /// The body of a request.
    #[must_use]
    pub fn to_body(&self) -> String {
        let mut body = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            let _infallible = writeln!(body, "{}", BASE64.encode(hash));
        }
        let _infallible = write!(body, "\n{}", self.checkpoint);
        body
    }
}

fn parse_hash(line: &str) -> Option<NodeHash> {
    BASE64.decode(line.as_bytes()).ok()?.try_into().ok()
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: not a well-formed request.
    #[error("malformed request ({0}): send what C2SP tlog-witness describes")]
    BadRequest(&'static str),
    /// 403: nobody who may speak for the log has signed.
    #[error(
        "the checkpoint has no valid signature by a known key of its log: check which key the witness knows"
    )]
    Forbidden,
    /// 404: a log that this witness does not know.
    #[error("the witness does not know the log {0:?}: add its key to the witness")]
    UnknownLog(String),
    /// 409: the old size is not the last cosigned one. Prove from `latest` instead; a log whose own size is below
    /// `latest` was rolled back.
    #[error(
        "the witness has cosigned {latest} entries: send a proof from there; if the log has fewer, it was rolled back"
    )]
    Conflict {
        /// Size that was cosigned last.
        latest: u64,
    },
    /// 409: another root at the very size that was cosigned: a fork.
    #[error("the witness has cosigned another root at {size} entries: the log was forked or rewritten")]
    Fork {
        /// The size.
        size: u64,
    },
    /// 422: the proof does not lead from the last cosigned tree to this one: a fork, or a wrong proof.
    #[error(
        "the tree does not grow from the cosigned one of {latest} entries: the log was forked, or the proof is wrong"
    )]
    Inconsistent {
        /// Size that was cosigned last.
        latest: u64,
    },
    /// 500: the witness's own key or clock does not work.
    #[error("the witness cannot sign: check its key and its clock")]
    CannotSign,
}

impl Refusal {
    /// The HTTP status of C2SP tlog-witness.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Forbidden => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict { .. } | Self::Fork { .. } => 409,
            Self::Inconsistent { .. } => 422,
            Self::CannotSign => 500,
        }
    }

    /// The body of the answer and its content type: for a conflict the size to prove from.
    #[must_use]
    pub fn body(&self) -> (&'static str, String) {
        match self {
            Self::Conflict { latest: size } | Self::Fork { size } => {
                ("text/x.tlog.size", format!("{size}\n"))
            }
            other => ("text/plain", format!("{other}\n")),
        }
    }
}

/// A tree that may be stored, and the cosignature that may be sent once it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Which log.
    pub origin: String,
    /// What the witness now remembers: store it first.
    pub tree: Tree,
    /// What it says: send it second.
    pub signature: NoteSignature,
}

#[derive(Debug, Clone)]
struct Log {
    keys: VerifierSet,
    latest: Option<Tree>,
}

/// What a witness knows: for each log its keys and the last tree that it cosigned.
#[derive(Debug, Clone, Default)]
pub struct WitnessState {
    logs: BTreeMap<String, Log>,
}

impl WitnessState {
    /// A witness that knows no log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a log, or changes its keys; `stored` is the tree that the witness stored last, if any. A tree that is
    /// remembered already is kept unless `stored` is larger: adding a log again never forgets.
    pub fn trust(&mut self, origin: &str, keys: &VerifierSet, stored: Option<Tree>) {
        let log =
            self.logs.entry(origin.to_owned()).or_insert(Log { keys: VerifierSet::default(), latest: None });
        log.keys = keys.named(origin);
        if stored.map(|tree| tree.size) > log.latest.map(|tree| tree.size) {
            log.latest = stored;
        }
    }

    /// The tree that was cosigned last.
    #[must_use]
    pub fn latest(&self, origin: &str) -> Option<Tree> {
        self.logs.get(origin).and_then(|log| log.latest)
    }

    /// The whole memory: each log with its last cosigned tree.
    pub fn trees(&self) -> impl Iterator<Item = (&str, Tree)> {
        self.logs.iter().filter_map(|(origin, log)| log.latest.map(|tree| (origin.as_str(), tree)))
    }

    /// Cosigns the checkpoint if it grew from the last cosigned one. A refusal changes nothing.
    ///
    /// # Errors
    /// See [`Refusal`], in the order of C2SP tlog-witness: unknown log, no valid signature, bad sizes, conflict,
    /// inconsistency.
    pub fn update(
        &mut self,
        request: &AddCheckpoint,
        cosigner: &Cosigner,
        now: Timestamp,
    ) -> Result<Cosigned, Refusal> {
        let origin = &request.checkpoint.claimed().origin;
        let log = self.logs.get_mut(origin).ok_or_else(|| Refusal::UnknownLog(origin.clone()))?;
        let checkpoint = request.checkpoint.verify(&log.keys).map_err(|error| refused_signature(&error))?;
        let tree = Tree { size: checkpoint.size, root: checkpoint.root };
        if request.old_size > tree.size {
            return Err(Refusal::BadRequest("the old size is larger than the checkpoint's"));
        }
        let latest = log.latest.unwrap_or(Tree { size: 0, root: empty_root() });
        check_growth(latest, tree, request)?;
        let signature =
            cosigner.cosign(request.checkpoint.note().text(), now).map_err(|_| Refusal::CannotSign)?;
        log.latest = Some(tree);
        Ok(Cosigned { origin: origin.clone(), tree, signature })
    }
}

fn refused_signature(error: &CheckpointError) -> Refusal {
    match error {
        CheckpointError::Note(NoteError::Malformed(what)) | CheckpointError::Malformed(what) => {
            Refusal::BadRequest(what)
        }
        _ => Refusal::Forbidden,
    }
}

fn check_growth(latest: Tree, tree: Tree, request: &AddCheckpoint) -> Result<(), Refusal> {
    if request.old_size != latest.size {
        return Err(Refusal::Conflict { latest: latest.size });
    }
    if tree.size == latest.size && tree.root != latest.root {
        return Err(Refusal::Fork { size: latest.size });
    }
    verify_consistency((latest.size, latest.root), (tree.size, tree.root), &request.proof).map_err(|error| {
        match error {
            ProofError::Shrinks { .. } => Refusal::Conflict { latest: latest.size },
            _ => Refusal::Inconsistent { latest: latest.size },
        }
    })
}
