//! Reads the repository: its files as text, its packages as cargo sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Directories that are not part of the source (`.gitignore`), or not text.
const PASSED_OVER: &[&str] = &[".git", "target", "node_modules", ".carekeep"];

/// A text file.
pub(crate) struct Text {
    /// Its path below the root, with `/`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl Text {
    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is only compiled for tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs" || part == "benches")
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the workspace")
}

/// Every text file of the source.
pub(crate) fn texts() -> Vec<Text> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 50, "positive control: the source has files, found {}", found.len());
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<Text>) {
    for entry in fs::read_dir(dir).expect("a readable directory") {
        let entry = entry.expect("a directory entry");
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() && !PASSED_OVER.iter().any(|passed| name == *passed) {
            collect(root, &path, found);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            found.push(Text { path, text });
        }
    }
}

/// One dependency of a package, as its manifest declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Compiled into the product, or run while it is built.
    Normal,
    /// Only for tests and benchmarks.
    Dev,
}

/// A package of the workspace.
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// The names of the packages it depends on, as they are in the registry.
    pub(crate) dependencies: Vec<(String, Kind)>,
    /// The names of its features.
    pub(crate) features: Vec<String>,
}

/// The packages of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's JSON");
    let packages: Vec<Package> =
        metadata["packages"].as_array().expect("packages").iter().map(package).collect();
    assert!(packages.len() > 10, "positive control: the workspace has packages, found {}", packages.len());
    packages
}

fn package(metadata: &Value) -> Package {
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let dependency = |value: &Value| {
        let kind = if value["kind"] == "dev" { Kind::Dev } else { Kind::Normal };
        (name(value), kind)
    };
    let dependencies = metadata["dependencies"].as_array().expect("dependencies");
    let features = metadata["features"].as_object().expect("features");
    Package {
        name: name(metadata),
        dependencies: dependencies.iter().map(dependency).collect(),
        features: features.keys().cloned().collect(),
    }
}
