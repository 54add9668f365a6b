use carekeep_vault::catalogue::{Opens, Update};

impl Opens for Update {}

fn main() {}
