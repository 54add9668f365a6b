//! Reading one resource by its id in two trips, each shared with whoever reads at the same moment: one fetches the rows, one
//! makes the entries about them durable. The lane decides between the two, so that a reader is woken once, with its permit.
//!
//! Invariant: the order is the gate's (see [`crate::gate`]): decided on the fetched row, recorded, and only then minted. Whatever
//! is not a plain yes, or needs something that is not in memory, goes back to the reader, who takes the gate's long way.

use std::sync::Arc;

use carekeep_batch::{Batcher, Lane};
use carekeep_kernel::{EntryId, ResourceId};
use carekeep_keys::{DataKey, KeyPurpose};
use carekeep_ledger::{Entry, Outcome};
use carekeep_policy::{ActivePolicy, Projection, ResourceKind};
use futures_util::FutureExt;

use crate::{
    AccessError, Caller, Permit, Sealed, Vault,
    audit::Recorder,
    catalogue::Opens,
    cell::Cell,
    gate::{Gate, mint},
    operations::STATEMENT_LIMIT,
    records::fetch::{Rows, Wanted},
};

/// A reader, with all that a decision needs.
pub(crate) struct Reader {
    wanted: Wanted,
    kind: ResourceKind,
    cell: Arc<Cell>,
    policy: Arc<ActivePolicy>,
    caller: Caller,
    decide: fn(&Self, &Sealed, &mut Vec<Entry>) -> Option<Granted>,
}

/// A yes, and the entry that says so.
pub(crate) struct Granted {
    projection: Projection,
    key: Arc<DataKey>,
    entry: EntryId,
}

impl Reader {
    fn gate(&self) -> Gate<'_> {
        Gate { cell: &self.cell, policy: &self.policy, caller: &self.caller }
    }

    /// Decides, and adds the entry to those that are about to be made durable. Has no effect unless the answer is a yes.
    fn decide<A: Opens>(&self, sealed: &Sealed, entries: &mut Vec<Entry>) -> Option<Granted> {
        let gate = self.gate();
        if sealed.kind != self.kind || self.caller.is_app() {
            return None;
        }
        let granted = gate.decide::<A>(&sealed.attributes(self.caller.person())).ok()?;
        let key = self.cell.key_of(KeyPurpose::Data, sealed.envelope.as_ref()?).now_or_never()?.ok()?;
        let entry = gate.about_row::<A>(sealed, Outcome::Permitted, granted.grounds).now_or_never()?.ok()?;
        let id = entry.id;
        entries.push(entry);
        Some(Granted { projection: granted.projection, key, entry: id })
    }
}

/// A row, with the yes if that is what it was.
type Found = (Sealed, Option<Granted>);

pub(crate) type Readers = Batcher<Reader, Result<Option<Found>, AccessError>>;

/// Fetches, decides and records batches of reads.
pub(crate) struct ReadLane {
    rows: Rows,
    recorder: Arc<Recorder>,
}

impl ReadLane {
    pub(crate) const fn new(rows: Rows, recorder: Arc<Recorder>) -> Self {
        Self { rows, recorder }
    }

    async fn read(&self, readers: &[Reader]) -> Result<Vec<Result<Option<Found>, AccessError>>, AccessError> {
        let wanted: Vec<Wanted> = readers.iter().map(|reader| reader.wanted).collect();
        let rows = self.rows.fetch(&wanted).await?;
        let mut entries = Vec::with_capacity(rows.len());
        let mut decide = |(reader, row): (&Reader, Option<Sealed>)| {
            let sealed = row?;
            let granted = (reader.decide)(reader, &sealed, &mut entries);
            Some((sealed, granted))
        };
        let decided: Vec<Option<Found>> = readers.iter().zip(rows).map(&mut decide).collect();
        let recorded = if entries.is_empty() { Ok(()) } else { self.recorder.append(entries).await };
        let answer = |found: Option<Found>| match (&recorded, &found) {
            (Err(error), Some((_, Some(_)))) => Err(error.clone()),
            _ => Ok(found),
        };
        Ok(decided.into_iter().map(answer).collect())
    }
}

impl Lane for ReadLane {
    type Item = Reader;
    type Answer = Result<Option<Found>, AccessError>;

    async fn run(&mut self, readers: Vec<Reader>) -> Vec<Self::Answer> {
        match self.read(&readers).await {
            Ok(answers) => answers,
            Err(error) => readers.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

impl Vault {
    /// Fetches the present version of a resource and permits opening it. Recorded either way before this returns.
    ///
    /// # Errors
    /// As [`Vault::fetch`] and [`Vault::permit`].
    pub async fn read<A: Opens>(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Result<(Sealed, Permit<A>), AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let gate = self.gate(&cell, caller);
        gate.precheck::<A>(kind).await?;
        let reader = Reader {
            wanted: Self::wanted(caller, id),
            kind,
            cell: Arc::clone(&cell),
            policy: Arc::clone(self.policy()),
            caller: caller.copy(),
            decide: Reader::decide::<A>,
        };
        // Bounded with the wait for the batches before it.
        let found = tokio::time::timeout(STATEMENT_LIMIT, cell.readers.submit(reader))
            .await
            .map_err(|_| AccessError::unavailable("records", "statement limit"))?
            .map_err(|_| AccessError::unavailable("records", "the reader has stopped"))??;
        // As it is known now: the batches before it may have taken a while.
        self.check_served(caller.tenant())?;
        match found {
            Some((sealed, Some(granted))) => {
                let permit = mint(&sealed, granted.projection, Some(granted.key), granted.entry);
                Ok((sealed, permit))
            }
            Some((sealed, None)) if sealed.kind == kind => {
                let permit = Box::pin(gate.permit(&sealed)).await?;
                Ok((sealed, permit))
            }
            _ => Err(gate.absent::<A>(kind).await?),
        }
    }
}
