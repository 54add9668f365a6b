fn serialise(phi: &carekeep_vault::Phi) -> String {
    serde_json::to_string(phi).unwrap()
}

fn main() {
    let _ = serialise;
}
