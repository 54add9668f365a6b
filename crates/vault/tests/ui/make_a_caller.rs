use carekeep_policy::Principal;
use carekeep_vault::Caller;

fn impersonate(like: Caller, principal: Principal) -> Caller {
    Caller { principal, ..like }
}

fn main() {
    let _ = impersonate;
}
