//! Sizes and habits of the source: what a reader relies on in every file.

use toml::Table;

use crate::none;
use crate::repository::{Text, texts};

/// Longest source file, in lines.
const LONGEST: usize = 600;
/// Longest file of tests, in lines.
const LONGEST_TESTS: usize = 1000;

/// Most lines of code of the trusted core (blueprint, section 3): small enough to be read as a whole before it is trusted.
const TRUSTED_CORE: usize = 4000;

/// What unfinished or switched-off code looks like. Written in pieces, so that this file is not found.
const UNFINISHED: &[&str] = &[concat!("#[", "ignore"), concat!("to", "do!"), concat!("unimple", "mented!")];

/// Hosts that packages are fetched from. A committed one pins everybody to the network of whoever committed it.
const REGISTRIES: &[&str] = &[
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("pypi.", "org/simple"),
    concat!("files.", "pythonhosted.org"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("proxy.", "golang.org"),
    concat!("pkg", ".dev/"),
    concat!("arti", "factory"),
    concat!("deb.", "debian.org"),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// The one source of packages in `Cargo.lock`.
const PUBLIC_INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn too_long(file: &Text) -> Option<String> {
    let limit = if file.is_test() { LONGEST_TESTS } else { LONGEST };
    let lines = file.text.lines().count();
    (file.is_rust() && lines > limit).then(|| format!("{}: {lines} lines, the limit is {limit}", file.path))
}

fn without_module_docs(file: &Text) -> Option<String> {
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let source = file.is_rust() && file.path.starts_with("crates/") && !file.is_test();
    (source && !first.starts_with("//!")).then(|| {
        format!("{}: begins without `//!`; say what the module is for and what it guarantees", file.path)
    })
}

fn unfinished(file: &Text) -> Option<String> {
    let found = UNFINISHED.iter().find(|mark| file.is_rust() && appears(&file.text, mark, is_name))?;
    Some(format!("{}: contains `{found}`", file.path))
}

fn names_a_registry(file: &Text) -> Option<String> {
    let found = REGISTRIES.iter().find(|host| file.text.contains(**host))?;
    Some(format!("{}: contains the package host `{found}`", file.path))
}

fn names_a_machine_path(file: &Text) -> Option<String> {
    let inside_a_path = |c: char| is_name(c) || matches!(c, '.' | '-' | '/' | '}' | '*');
    let found = MACHINE_PATHS.iter().find(|path| appears(&file.text, path, inside_a_path))?;
    Some(format!("{}: contains `{found}…`, a path of one machine", file.path))
}

fn without_workspace_lints(file: &Text) -> Option<String> {
    let manifest = file.path.ends_with("/Cargo.toml") && (file.path.matches('/').count() == 2);
    let parsed: Option<Table> = file.text.parse().ok();
    let linted = parsed.and_then(|table| table.get("lints")?.get("workspace")?.as_bool()) == Some(true);
    (manifest && !linted).then(|| format!("{}: has no `[lints] workspace = true`", file.path))
}

fn fetches_from_elsewhere(file: &Text) -> Option<String> {
    let other =
        |line: &&str| line.starts_with("source = ") && *line != format!("source = \"{PUBLIC_INDEX}\"");
    let line = file.text.lines().filter(|_| file.path == "Cargo.lock").find(other)?;
    Some(format!("Cargo.lock: {line} is not the public index"))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `mark` appears where the character before it does not continue it to the left.
fn appears(text: &str, mark: &str, continues: impl Fn(char) -> bool) -> bool {
    text.match_indices(mark).any(|(at, _)| !text[..at].chars().next_back().is_some_and(&continues))
}

/// From a file to what is wrong with it.
type Rule = fn(&Text) -> Option<String>;
/// The path and the text of a made-up file.
type MadeUp = (&'static str, &'static str);

/// Every rule with a made-up file that breaks it, and one close to it that does not.
const RULES: &[(Rule, MadeUp, MadeUp)] = &[
    (
        without_module_docs,
        ("crates/a/src/b.rs", "use x;\n"),
        ("crates/a/src/b.rs", "\n//! Purpose.\nuse x;\n"),
    ),
    (
        unfinished,
        ("crates/a/src/b.rs", concat!("fn a() { to", "do!() }")),
        ("crates/a/src/b.rs", "mastodo!()"),
    ),
    (unfinished, ("tests/a/b.rs", concat!("#[", "ignore = \"slow\"]")), ("a.md", concat!("#[", "ignore]"))),
    (
        names_a_registry,
        ("a.json", concat!("https://registry.", "npmjs.org/x")),
        ("a.json", "https://example.org/x"),
    ),
    (
        names_a_machine_path,
        ("a.md", concat!("see /ro", "ot/x")),
        ("a.md", "the-/root of it, docs/work/x, $a/home/b"),
    ),
    (
        without_workspace_lints,
        ("crates/a/Cargo.toml", "[lints]\nworkspace = false\n"),
        ("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"),
    ),
    (without_workspace_lints, ("tests/a/Cargo.toml", "[package]\n"), ("Cargo.toml", "[workspace]\n")),
    (
        fetches_from_elsewhere,
        ("Cargo.lock", "source = \"git+https://example.org/x\"\n"),
        ("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n"),
    ),
];

fn check(rule: Rule) {
    let violations: Vec<String> = texts().iter().filter_map(rule).collect();
    none(&violations);
}

fn text(path: &str, text: &str) -> Text {
    Text { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn every_rule_finds_its_made_up_violation_and_nothing_else() {
    for (index, (rule, bad, good)) in RULES.iter().enumerate() {
        assert!(rule(&text(bad.0, bad.1)).is_some(), "rule {index} misses {bad:?}");
        assert_eq!(rule(&text(good.0, good.1)), None, "rule {index} on {good:?}");
    }
    for (path, lines, found) in [
        ("crates/a/src/b.rs", 601, true),
        ("crates/a/src/b.rs", 600, false),
        ("crates/a/tests/b.rs", 1001, true),
        ("crates/a/src/b/tests.rs", 1000, false),
        ("docs/a.md", 5000, false),
    ] {
        assert_eq!(too_long(&text(path, &"x\n".repeat(lines))).is_some(), found, "{path} with {lines} lines");
    }
}

#[test]
fn no_source_file_is_too_long() {
    check(too_long);
}

#[test]
fn every_module_says_what_it_is_for() {
    check(without_module_docs);
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    check(unfinished);
}

#[test]
fn no_package_host_is_committed() {
    check(names_a_registry);
    check(fetches_from_elsewhere);
}

#[test]
fn no_path_of_one_machine_is_committed() {
    check(names_a_machine_path);
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    check(without_workspace_lints);
}

/// Lines that are neither blank nor a comment.
fn code_lines(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn the_trusted_core_is_small_enough_to_be_read() {
    assert_eq!(code_lines("//! A\n\nfn a() {\n    // why\n    b(); // how\n}\n"), 3);
    let files = texts();
    let core = files.iter().filter(|file| file.is_rust() && file.path.starts_with("crates/vault/src/"));
    let lines: usize = core.map(|file| code_lines(&file.text)).sum();
    assert!((1000..=TRUSTED_CORE).contains(&lines), "crates/vault/src has {lines} lines of code");
}
