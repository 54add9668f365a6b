fn print(phi: carekeep_vault::Phi) {
    println!("{phi:?}");
}

fn show(phi: carekeep_vault::Phi) {
    println!("{phi}");
}

fn main() {
    let _ = (print, show);
}
