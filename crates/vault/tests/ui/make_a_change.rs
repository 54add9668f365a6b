use carekeep_vault::{Caller, Planned, Vault};

async fn skip_the_gate(vault: &Vault, caller: &Caller, planned: Vec<Planned>) {
    let _ = vault.commit(caller, planned).await;
}

fn main() {
    let _ = skip_the_gate;
}
