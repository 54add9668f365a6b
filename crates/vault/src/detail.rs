//! The sensitive part of an audit entry. It is sealed under the tenant's data key, so that erasing keys erases it while
//! the tree, which hashes what is stored, stays provable (BARS A11).

use carekeep_keys::{Aad, KeyPurpose};
use serde::Serialize;

use crate::{AccessError, Caller, cell::Cell, sealed::Plain};

#[derive(Serialize)]
struct Detail<'a> {
    address: std::net::IpAddr,
    /// The app that asked in the person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<uuid::Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
}

pub(crate) async fn seal(cell: &Cell, caller: &Caller, query: Option<&str>) -> Result<Vec<u8>, AccessError> {
    let (key, generation) = cell.newest(KeyPurpose::Data).await?;
    let aad = Aad {
        tenant: cell.tenant(),
        table: "audit_entry",
        column: "detail",
        row: caller.request(),
        row_version: 0,
        kind: "audit",
        patient: None,
    };
    let malformed = |_| AccessError::unavailable("audit", "detail");
    let client = caller.app.as_ref().map(|app| app.client);
    let detail = Detail { address: caller.origin.address, client, query };
    let plain = Plain::new(serde_json::to_vec(&detail).map_err(malformed)?);
    carekeep_keys::seal(&key, generation, &aad, &plain, cell.random())
        .map_err(|error| AccessError::unavailable("keys", error.to_string()))
}
