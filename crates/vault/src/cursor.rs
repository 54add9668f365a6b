//! Where the next page of a search starts, as the searcher carries it: sealed, because the place may be that of a row which
//! the searcher may not see, and bound to tenant, person and resource type, because anybody else's is nobody's.

use std::sync::Arc;

use carekeep_kernel::ResourceId;
use carekeep_keys::{Aad, DataKey, KeyPurpose};
use carekeep_policy::ResourceKind;

use crate::{AccessError, Caller, Vault, cell::Cell, records::query::Cursor};

/// Order key and id.
const LENGTH: usize = 24;

fn aad(caller: &Caller, kind: ResourceKind) -> Aad<'_> {
    Aad {
        tenant: caller.tenant(),
        table: "search",
        column: "cursor",
        row: *caller.person().as_bytes(),
        row_version: 0,
        kind: kind.as_str(),
        patient: None,
    }
}

impl Vault {
    /// Seals a place for the caller to come back with.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the key is away.
    pub async fn seal_cursor(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        cursor: &Cursor,
    ) -> Result<Vec<u8>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let (key, generation) = cell.newest(KeyPurpose::Data).await?;
        let mut place = [0_u8; LENGTH];
        place[..8].copy_from_slice(&cursor.key.to_be_bytes());
        place[8..].copy_from_slice(cursor.id.as_bytes());
        carekeep_keys::seal(&key, generation, &aad(caller, kind), &place, cell.random())
            .map_err(|error| AccessError::unavailable("keys", error.to_string()))
    }

    /// Opens a place that was sealed for the caller, for a search of this kind; `None` for anything else.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the key is away.
    pub async fn open_cursor(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        sealed: &[u8],
    ) -> Result<Option<Cursor>, AccessError> {
        let cell = self.cell(caller.tenant()).await?;
        let Some(key) = key_of(&cell, sealed).await? else { return Ok(None) };
        let plain = carekeep_keys::open(&key, &aad(caller, kind), sealed).ok();
        Ok(plain.and_then(|plain| place(&plain)))
    }
}

/// The key that the envelope names, if the tenant has it: what a client made up is no reason to be unavailable.
async fn key_of(cell: &Cell, sealed: &[u8]) -> Result<Option<Arc<DataKey>>, AccessError> {
    match carekeep_keys::generation(sealed) {
        Ok(generation) if cell.has(KeyPurpose::Data, generation) => {
            cell.key_of(KeyPurpose::Data, sealed).await.map(Some)
        }
        _ => Ok(None),
    }
}

fn place(plain: &[u8]) -> Option<Cursor> {
    let (key, id) = plain.split_first_chunk::<8>()?;
    let id = <[u8; 16]>::try_from(id).ok()?;
    Some(Cursor { key: i64::from_be_bytes(*key), id: ResourceId::from_uuid(uuid::Uuid::from_bytes(id)) })
}
