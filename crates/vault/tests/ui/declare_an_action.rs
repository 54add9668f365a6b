use carekeep_policy::Action;
use carekeep_vault::catalogue::Act;

struct Peek;

impl Act for Peek {
    const ACTION: Action = Action::Read;
    const ROW_ACTION: Action = Action::Read;
}

fn main() {}
