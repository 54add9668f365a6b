use carekeep_vault::{Permit, Sealed, catalogue::Read};

fn twice(one: Sealed, other: Sealed, permit: Permit<Read>) {
    let _ = one.open(permit);
    let _ = other.open(permit);
}

fn main() {
    let _ = twice;
}
