use carekeep_vault::{AccessError, Caller, Permit, Sealed, Vault, catalogue};

async fn takes_history(_: Permit<catalogue::History>) {}

async fn confuse(vault: &Vault, caller: &Caller, sealed: &Sealed) -> Result<(), AccessError> {
    let permit = vault.permit::<catalogue::Read>(caller, sealed).await?;
    takes_history(permit).await;
    Ok(())
}

fn main() {
    let _ = confuse;
}
