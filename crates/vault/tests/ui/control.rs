//! The control: the right way compiles.

use carekeep_policy::ResourceKind;
use carekeep_vault::{AccessError, Caller, Permit, Sealed, Vault, catalogue};

async fn read(vault: &Vault, caller: &Caller, id: carekeep_kernel::ResourceId) -> Result<usize, AccessError> {
    let sealed: Sealed = vault.fetch::<catalogue::Read>(caller, ResourceKind::Patient, id).await?;
    let permit: Permit<catalogue::Read> = vault.permit(caller, &sealed).await?;
    let phi = sealed.open(permit)?;
    Ok(phi.expose().body.len())
}

fn takes_history(_: Permit<catalogue::History>) {}

pub(crate) fn main() {
    let _ = (read, takes_history);
}
