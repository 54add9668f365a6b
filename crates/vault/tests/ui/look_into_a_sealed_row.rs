use carekeep_vault::Sealed;

fn envelope(sealed: &Sealed) -> Option<Vec<u8>> {
    sealed.envelope.clone()
}

fn main() {
    let _ = envelope;
}
