use carekeep_policy::Projection;

fn widen(mut phi: carekeep_vault::Phi) -> carekeep_vault::Phi {
    phi.projection = Projection::Full;
    phi
}

fn main() {
    let _ = widen;
}
