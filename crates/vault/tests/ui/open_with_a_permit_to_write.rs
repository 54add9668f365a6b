use carekeep_vault::{Permit, Sealed, catalogue::Update};

fn open(sealed: Sealed, permit: Permit<Update>) {
    let _ = sealed.open(permit);
}

fn main() {
    let _ = open;
}
