//! The golden matrix and the tables of cases.

use std::path::{Path, PathBuf};

use crate::common::engine;
use carekeep_policy::{
    cases::{run, run_dir},
    matrix::matrix,
};

fn tables() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/tests")
}

#[test]
fn z5_the_matrix_of_roles_actions_and_kinds_is_the_golden_one() {
    let file = tables().join("matrix.txt");
    let now = matrix(&engine());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let changed: Vec<String> = now
        .lines()
        .zip(golden.lines().chain(std::iter::repeat("(nothing)")))
        .filter(|(now, golden)| now != golden)
        .map(|(now, golden)| format!("- {golden}\n+ {now}"))
        .collect();
    assert!(
        now == golden,
        "the matrix changed; if that is meant, run UPDATE_GOLDEN=1 cargo nextest run -p carekeep-policy -E \
         'test(golden)' and have it reviewed:\n{}",
        changed.join("\n")
    );
}

#[test]
fn p3_every_case_of_the_tables_comes_out_as_stated() {
    let report = run_dir(&engine(), &tables()).unwrap();
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert!(report.run >= 60 && report.allowed >= 25, "{report:?}");
}

const CASE: &str = r#"
    [[case]]
    name = "a nurse reads"
    roles = ["nurse"]
    action = "read"
    kind = "Condition"
    purpose = "TREAT"
    relation = ["care_team"]
    expect = "allow(full)"
    by = ["nurse.chart"]
"#;

#[test]
fn a_case_that_comes_out_otherwise_is_a_failure() {
    let engine = engine();
    let right = run(&engine, "t", CASE).unwrap();
    assert_eq!((right.run, right.allowed, right.failures.len()), (1, 1, 0));
    for (from, to) in [
        ("allow(full)", "allow(contact)"),
        ("allow(full)", "deny(no_permit)"),
        ("nurse.chart", "nurse.search"),
        ("\"care_team\"", ""),
    ] {
        let wrong = run(&engine, "t", &CASE.replace(from, to)).unwrap();
        assert_eq!(wrong.failures.len(), 1, "{from} -> {to}");
    }
}

#[test]
fn a_misspelt_case_is_refused_and_not_taken_for_a_refusal() {
    let engine = engine();
    for (from, to) in [
        ("nurse\"]", "nurze\"]"),
        ("read\"", "raed\""),
        ("Condition", "Konditon"),
        ("TREAT", "TREET"),
        ("care_team", "kare_team"),
        ("allow(full)", "alow(full)"),
        ("allow(full)", "allow(ful)"),
        ("allow(full)", "deny(permit)"),
        ("by =", "bye ="),
        ("relation = [\"care_team\"]", "with = [\"suspnded\"]"),
    ] {
        let broken = CASE.replace(from, to);
        assert_ne!(broken, CASE);
        assert!(run(&engine, "t", &broken).is_err(), "{from} -> {to}");
    }
}
