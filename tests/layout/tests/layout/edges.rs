//! Which crate may depend on which: the arrows of the architecture, exactly.

use crate::none;
use crate::repository::{Kind, Package, packages};

/// What each crate may depend on, by names without `carekeep-`. A crate that is not here is refused, so that somebody
/// decides where it belongs.
const ALLOWED: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("batch", &[]),
    ("pool", &[]),
    ("policy", &["kernel"]),
    ("keys", &["kernel"]),
    ("ledger", &["kernel"]),
    ("fhir", &["kernel"]),
    ("hl7v2", &["kernel"]),
    ("devservers", &["kernel"]),
    ("terraform-provider", &["kernel"]),
    ("vault", &["kernel", "batch", "pool", "policy", "keys", "ledger"]),
    ("tenancy", &["kernel", "keys", "vault"]),
    ("store", &["kernel", "vault"]),
    ("identity", &["kernel", "vault", "store"]),
    ("care", &["kernel", "policy", "vault", "store", "identity", "fhir"]),
    ("gateway", &["kernel", "policy", "vault", "identity", "care", "tenancy", "fhir"]),
    ("portal", &["kernel", "care", "tenancy", "identity"]),
    ("worker", &["kernel", "care", "tenancy"]),
];

/// May depend on every crate: the binary, and what starts the whole of it in tests.
const MAY_USE_ALL: &[&str] = &["carekeep", "testkit"];

/// For tests every crate may have these.
const FOR_TESTS: &[&str] = &["devservers", "testkit"];

/// Libraries that only some crates may use, also in tests: who else needs them has the wrong responsibility.
const CONFINED: &[(&str, &[&str])] = &[
    ("sqlx", &["pool", "vault", "store", "tenancy", "testkit", "carekeep"]),
    ("sea-orm", &["vault", "store", "tenancy", "testkit", "carekeep"]),
    ("sea-query-sqlx", &["store"]),
    ("sea-orm-migration", &["vault", "store", "tenancy", "testkit", "carekeep"]),
    ("aws-sdk-kms", &["keys"]),
    ("cedar-policy", &["policy", "vault"]),
    ("cedar-policy-symcc", &["policy"]),
];

/// Crates that compute and do nothing else, and libraries that do input and output.
const PURE: &[&str] = &["kernel", "ledger", "fhir", "hl7v2"];
const INPUT_OUTPUT: &[&str] =
    &["tokio", "axum", "hyper", "reqwest", "redis", "sqlx", "sea-orm", "aws-config"];

/// The name without `carekeep-`; the binary is `carekeep`. `None` for what is not ours.
fn ours(name: &str) -> Option<&str> {
    if name == "carekeep" { Some(name) } else { name.strip_prefix("carekeep-") }
}

fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<String> {
    let Some(name) = ours(&package.name) else {
        return vec![format!("{}: a package of the workspace is called carekeep-<name>", package.name)];
    };
    // Packages that hold tests only; nothing depends on them (see `arrow`).
    if name.ends_with("-tests") {
        return Vec::new();
    }
    let allowed = match ALLOWED.iter().find(|(known, _)| *known == name) {
        Some((_, allowed)) => Some(*allowed),
        None if MAY_USE_ALL.contains(&name) => None,
        None => {
            return vec![format!("{name}: not in the table of tests/layout; decide what it may depend on")];
        }
    };
    let check = |(dependency, kind): &(String, Kind)| match ours(dependency) {
        Some(dependency) => arrow(name, dependency, *kind, allowed),
        None => library(name, dependency, *kind),
    };
    package.dependencies.iter().filter_map(check).collect()
}

/// An arrow between two crates of ours; `allowed` is `None` for a crate that may use all.
fn arrow(name: &str, dependency: &str, kind: Kind, allowed: Option<&[&str]>) -> Option<String> {
    if kind == Kind::Dev && (FOR_TESTS.contains(&dependency) || dependency == name) {
        return None;
    }
    if dependency == "testkit" || dependency.ends_with("-tests") {
        return Some(format!("{name} -> {dependency}: it is for tests only"));
    }
    let forbidden = allowed.is_some_and(|allowed| !allowed.contains(&dependency));
    forbidden.then(|| format!("{name} -> {dependency}: this arrow is not in the architecture"))
}

fn library(name: &str, dependency: &str, kind: Kind) -> Option<String> {
    if CONFINED.iter().any(|(library, users)| *library == dependency && !users.contains(&name)) {
        return Some(format!(
            "{name} -> {dependency}: only some crates may use it (tests/layout, deny.toml)"
        ));
    }
    let impure = kind == Kind::Normal && PURE.contains(&name) && INPUT_OUTPUT.contains(&dependency);
    impure.then(|| format!("{name} -> {dependency}: this crate does no input or output"))
}

#[test]
fn crates_depend_only_along_the_arrows_of_the_architecture() {
    none(&violations(&packages()));
}

#[test]
fn every_crate_of_the_table_that_exists_is_checked() {
    let packages = packages();
    for name in ["kernel", "vault", "gateway", "testkit", "devservers"] {
        let package = packages.iter().find(|package| ours(&package.name) == Some(name));
        assert!(package.is_some(), "{name} is a package of the workspace");
    }
}

fn made_up(name: &str, dependency: &str, kind: Kind) -> Vec<String> {
    violations(&[Package {
        name: name.to_owned(),
        dependencies: vec![(dependency.to_owned(), kind)],
        features: Vec::new(),
    }])
}

#[test]
fn forbidden_arrows_are_found_and_allowed_ones_are_not() {
    use Kind::{Dev, Normal};
    for (name, dependency, kind) in [
        ("carekeep-kernel", "carekeep-policy", Normal),
        ("carekeep-store", "carekeep-keys", Normal),
        ("carekeep-store", "carekeep-keys", Dev),
        ("carekeep-care", "carekeep-gateway", Normal),
        ("carekeep-portal", "carekeep-gateway", Normal),
        ("carekeep-gateway", "carekeep-devservers", Normal),
        ("carekeep-gateway", "carekeep-testkit", Normal),
        ("carekeep", "carekeep-testkit", Normal),
        ("carekeep", "carekeep-core-tests", Normal),
        ("carekeep-gateway", "sqlx", Normal),
        ("carekeep-gateway", "sqlx", Dev),
        ("carekeep-identity", "sea-orm", Normal),
        ("carekeep-vault", "aws-sdk-kms", Normal),
        ("carekeep-care", "cedar-policy", Normal),
        ("carekeep-ledger", "tokio", Normal),
        ("carekeep-new", "serde", Normal),
        ("other", "serde", Normal),
    ] {
        assert_eq!(made_up(name, dependency, kind).len(), 1, "{name} -> {dependency} ({kind:?})");
    }
    for (name, dependency, kind) in [
        ("carekeep-vault", "carekeep-policy", Normal),
        ("carekeep-vault", "sqlx", Normal),
        ("carekeep-keys", "aws-sdk-kms", Normal),
        ("carekeep-policy", "cedar-policy-symcc", Normal),
        ("carekeep-ledger", "tokio", Dev),
        ("carekeep-care", "carekeep-testkit", Dev),
        ("carekeep", "carekeep-devservers", Normal),
        ("carekeep-testkit", "carekeep", Normal),
        ("carekeep-layout-tests", "serde_json", Dev),
    ] {
        assert_eq!(
            made_up(name, dependency, kind),
            Vec::<String>::new(),
            "{name} -> {dependency} ({kind:?})"
        );
    }
}
