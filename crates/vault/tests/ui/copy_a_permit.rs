use carekeep_vault::{Permit, catalogue::Read};

fn copy(permit: &Permit<Read>) -> Permit<Read> {
    Clone::clone(permit)
}

fn main() {
    let _ = copy;
}
