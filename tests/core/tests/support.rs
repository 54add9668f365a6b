//! Small words for the tests here.

use carekeep_kernel::{
    ResourceId,
    index::{ClearColumns, IndexValue, ParamId, Scope},
};
use carekeep_policy::ResourceKind;
use carekeep_testkit::Platform;
use carekeep_vault::{AccessError, Caller, Change, Draft, Plain, Planned, Vault, catalogue};

/// A new resource with a body that is easy to find again.
pub(crate) fn draft(
    platform: &Platform,
    kind: ResourceKind,
    patient: Option<ResourceId>,
    text: &str,
) -> Draft {
    let id = ResourceId::generate(&*platform.clock, &*platform.random);
    Draft {
        kind,
        id,
        patient: if kind == ResourceKind::Patient { Some(id) } else { patient },
        base: 0,
        at: platform.clock.now(),
        body: Plain::new(text.as_bytes().to_vec()),
        values: vec![
            IndexValue { param: ParamId(1), scope: Scope::Tenant, text: format!("n:{text}") },
            IndexValue { param: ParamId(2), scope: Scope::Patient, text: "c:e11".to_owned() },
        ],
        clear: ClearColumns {
            status: Some("final".to_owned()),
            categories: vec!["http://x|lab".to_owned(), "lab".to_owned()],
            event_start: Some(1_000_000),
            event_end: Some(2_000_000),
        },
    }
}

/// Permits and writes.
pub(crate) async fn write(vault: &Vault, caller: &Caller, planned: Vec<Planned>) -> Result<(), AccessError> {
    let changes: Vec<Change> = vault.permit_changes(caller, planned).await?;
    vault.commit(caller, changes).await
}

/// Reads as the API does, and gives the body as text.
pub(crate) async fn read(
    vault: &Vault,
    caller: &Caller,
    kind: ResourceKind,
    id: ResourceId,
) -> Result<String, AccessError> {
    let sealed = vault.fetch::<catalogue::Read>(caller, kind, id).await?;
    let permit = vault.permit::<catalogue::Read>(caller, &sealed).await?;
    let phi = sealed.open(permit)?;
    Ok(String::from_utf8(phi.expose().body.to_vec()).unwrap())
}
