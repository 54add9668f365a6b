use carekeep_vault::{Authorized, Sealed, catalogue::ReadAudit};

fn open(sealed: Sealed, evidence: Authorized<ReadAudit>) {
    let _ = sealed.open(evidence);
}

fn main() {
    let _ = open;
}
