//! Z6, P1: what must not compile against the vault does not. `ui/control.rs` is the same reading done right: it is part of
//! this program, so it compiles.
//!
//! The expected errors are in `ui/*.stderr`; `TRYBUILD=overwrite` writes them anew after a change of the compiler. On a new
//! machine trybuild first checks the vault's dependencies once more, in a folder of its own; with a case that must
//! compile it would even build them, which is why the control is not one.

#[path = "ui/control.rs"]
mod control;

#[test]
fn bar_z6_no_code_outside_the_vault_opens_forges_copies_or_prints() {
    let cases = trybuild::TestCases::new();
    control::main();
    for misuse in MISUSES {
        cases.compile_fail(format!("tests/ui/{misuse}.rs"));
    }
}

/// Named one by one: a file that is missing or was not listed is noticed.
const MISUSES: [&str; 16] = [
    "copy_a_permit",
    "copy_phi",
    "declare_an_action",
    "forge_a_permit",
    "history_by_a_permit_to_read",
    "look_into_a_sealed_row",
    "make_a_caller",
    "make_a_change",
    "make_an_action_open",
    "make_phi",
    "open_with_a_permit_to_write",
    "open_with_evidence_of_an_administrator",
    "open_without_a_permit",
    "print_phi",
    "serialise_phi",
    "use_a_permit_twice",
];

#[test]
fn every_misuse_is_tried() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ui");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "control")
        .collect();
    found.sort();
    assert_eq!(found, MISUSES);
}
