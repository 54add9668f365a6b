fn copy(phi: &carekeep_vault::Phi) -> carekeep_vault::Phi {
    Clone::clone(phi)
}

fn main() {
    let _ = copy;
}
