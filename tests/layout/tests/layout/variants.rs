//! The bench compares with a gateway that leaves the audit out. No code of the product can do that: the bench edits a
//! copy of the source (`tests/bench/variants.toml`). Here it is checked that the edits fit, that what they build cannot
//! be taken for the product, and that the product has no such switch of its own.

use toml::{Table, Value};

use crate::none;
use crate::repository::{Text, packages, texts};

const EDITS: &str = "tests/bench/variants.toml";
/// How the edits name what they add. Written in pieces, so that this file is not found.
const MARKS: &[&str] = &[concat!("bench_", "variant"), concat!("CAREKEEP_BENCH_", "VARIANT")];

struct Edit {
    file: String,
    find: String,
    put: String,
}

fn edits(text: &str) -> Vec<Edit> {
    let table: Table = text.parse().expect("TOML");
    let word = |edit: &Value, name: &str| edit[name].as_str().expect("text").to_owned();
    let edit =
        |edit: &Value| Edit { file: word(edit, "file"), find: word(edit, "find"), put: word(edit, "put") };
    table["edit"].as_array().expect("edits").iter().map(edit).collect()
}

/// An edit that does not fit the source any more.
fn misfits(edits: &[Edit], texts: &[Text]) -> Vec<String> {
    let found = |edit: &Edit| {
        let text = texts.iter().find(|text| text.path == edit.file);
        let times = text.map_or(0, |text| text.text.matches(&edit.find).count());
        (times != 1).then(|| format!("{}: found {times} times: {:?}", edit.file, edit.find))
    };
    edits.iter().filter_map(found).collect()
}

/// A file of the product, or of its tests, that knows of the bench's variants.
fn switches(texts: &[Text]) -> Vec<String> {
    let of_the_bench = |path: &str| path.starts_with("tests/bench/");
    texts
        .iter()
        .filter(|text| !of_the_bench(&text.path) && MARKS.iter().any(|mark| text.text.contains(mark)))
        .map(|text| format!("{}: names a variant of the bench", text.path))
        .collect()
}

fn text(path: &str, text: &str) -> Text {
    Text { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn edits_that_do_not_fit_and_switches_in_the_product_are_found() {
    let edit = |find: &str| [Edit { file: "a.rs".to_owned(), find: find.to_owned(), put: String::new() }];
    let source = [text("a.rs", "one two two"), text("b.rs", "three")];
    assert_eq!(misfits(&edit("one"), &source).len(), 0);
    assert_eq!(misfits(&edit("two"), &source).len(), 1);
    assert_eq!(misfits(&edit("three"), &source).len(), 1);
    let marked = |path| [text(path, &format!("if {}::is(\"unaudited\")", MARKS[0]))];
    assert_eq!(switches(&marked("crates/vault/src/gate.rs")).len(), 1);
    assert_eq!(switches(&marked("tests/bench/variants.toml")).len(), 0);
}

#[test]
fn the_edits_of_the_bench_fit_the_source() {
    let texts = texts();
    let edits = edits(&texts.iter().find(|text| text.path == EDITS).expect("the edits").text);
    assert!(edits.len() >= 4, "positive control: there are edits");
    none(&misfits(&edits, &texts));
}

#[test]
fn what_the_bench_builds_has_another_name_and_runs_under_the_dev_profile_only() {
    let texts = texts();
    let edits = edits(&texts.iter().find(|text| text.path == EDITS).expect("the edits").text);
    let put = |file: &str| &edits.iter().find(|edit| edit.file == file).expect("an edit of it").put;
    assert!(put("crates/carekeep/Cargo.toml").contains("name = \"carekeep-bench-variant\""));
    let refusal = put("crates/carekeep/src/config.rs");
    for part in ["allows_dev_conveniences()", "return Err(", "tracing::error!("] {
        assert!(refusal.contains(part), "the test build must refuse production and say what it is: {part}");
    }
}

#[test]
fn the_product_has_no_switch_around_its_audit() {
    none(&switches(&texts()));
    let packages = packages();
    let vault = packages.iter().find(|package| package.name == "carekeep-vault").expect("the vault");
    assert!(vault.features.is_empty(), "the vault is built in one way only, not with {:?}", vault.features);
}
