use carekeep_vault::{Phi, Sealed};

fn open(sealed: Sealed) -> Phi {
    sealed.open().unwrap()
}

fn main() {
    let _ = open;
}
