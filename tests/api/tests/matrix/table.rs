//! The table of who gets what: a row for each route and variant, a cell for each principal. It is text that people review,
//! in `tests/api/matrix/`, and is compared exactly.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::Answer;

use super::stage::CANARY;

/// Longest line of principals.
const WIDTH: usize = 100;

/// A route, in one of the ways that it is called.
pub(super) struct Row {
    /// The route's name, such as `fhir.read`.
    pub(super) name: &'static str,
    /// What it is about, such as `Patient`; may be empty.
    pub(super) variant: &'static str,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) success: StatusCode,
}

impl Row {
    fn title(&self) -> String {
        let name = format!("{} {}", self.name, self.variant);
        format!("== {}: {} {}", name.trim_end(), self.method, self.path)
    }
}

/// Rows with their cells, in order.
#[derive(Default)]
pub(super) struct Table {
    text: String,
    broken: Vec<String>,
}

impl Table {
    /// Adds a row. At least one principal must have succeeded: otherwise the refusals show nothing.
    pub(super) fn add(&mut self, row: &Row, cells: &[(&'static str, String)]) {
        let of = |wanted| cells.iter().find(|(name, _)| *name == wanted).map(|(_, cell)| cell);
        let mut by_cell: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (principal, cell) in cells {
            by_cell.entry(cell).or_default().push(principal);
        }
        let success = |cell: &&str| {
            cell.starts_with(row.success.as_str()) && !cell.ends_with("nothing") && !cell.contains("[4")
        };
        if !by_cell.keys().any(success) {
            self.broken.push(format!("{}: nobody gets {}", row.title(), row.success));
        }
        // A session is as good in its last second as in its first (BARS I1).
        if of("last second") != of("clinician") {
            self.broken.push(format!("{}: the last second of a session differs", row.title()));
        }
        let _ = writeln!(self.text, "{}", row.title());
        for (cell, principals) in by_cell {
            let mut cell = cell;
            for line in lines(&principals) {
                let _ = writeln!(self.text, "  {cell:<28} {line}");
                cell = "";
            }
        }
        self.text.push('\n');
    }

    /// Compares with the golden file `tests/api/matrix/<name>.txt`.
    pub(super) fn compare(&self, name: &str, what: &str) {
        assert!(self.broken.is_empty(), "no positive control:\n{}", self.broken.join("\n"));
        let path = golden(name);
        let now = format!("{}{}", header(what), self.text);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        let kept: Vec<&str> = golden.lines().collect();
        let came: Vec<&str> = now.lines().collect();
        let gone = kept.iter().filter(|line| !came.contains(line)).map(|line| format!("- {line}"));
        let new = came.iter().filter(|line| !kept.contains(line)).map(|line| format!("+ {line}"));
        assert!(
            now == golden,
            "who gets what changed; if that is meant, run UPDATE_GOLDEN=1 ./dev test -p carekeep-api-tests matrix and have \
             {} reviewed:\n{}",
            path.display(),
            gone.chain(new).collect::<Vec<_>>().join("\n")
        );
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("matrix").join(format!("{name}.txt"))
}

fn header(what: &str) -> String {
    format!(
        "# {what}\n# Each row: a route in one of the ways that it is called; status and code, then who gets them. Who they are: \
         tests/matrix/cast.rs.\n# Made by: UPDATE_GOLDEN=1 ./dev test -p carekeep-api-tests matrix\n\n"
    )
}

fn lines(principals: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for (index, principal) in principals.iter().enumerate() {
        let comma = if index + 1 < principals.len() { ", " } else { "" };
        if lines.last().is_some_and(|line| line.len() + principal.len() > WIDTH) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(principal);
            line.push_str(comma);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// An answer in a few words: the status; of a refusal its stable code; of health data how much of it is shown.
pub(super) fn cell(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    let body = &answer.body;
    let said = if answer.status.is_success() { shown(answer) } else { code(body).to_owned() };
    format!("{status} {said}").trim_end().to_owned()
}

/// The code of a problem, of the first issue of an OperationOutcome, or of an OAuth error.
pub(super) fn code(body: &Value) -> &str {
    let found = ["/code", "/issue/0/details/coding/0/code", "/issue/0/code", "/error"];
    found.iter().find_map(|at| body.pointer(at)?.as_str()).unwrap_or_default()
}

/// Whether a refusal says why. A SCIM error has no code, but repeats the status (RFC 7644 section 3.12).
pub(super) fn says(answer: &Answer, wanted: &str) -> bool {
    let scim = answer.body["schemas"][0] == "urn:ietf:params:scim:api:messages:2.0:Error";
    if scim { answer.body["status"] == answer.status.as_str() } else { code(&answer.body) == wanted }
}

fn shown(answer: &Answer) -> String {
    let body = &answer.body;
    if let Some(people) = body["people"].as_array() {
        let named = people.iter().any(|person| person.get("login").is_some());
        return if named { "names" } else { "no names" }.to_owned();
    }
    match (body["resourceType"].as_str(), body["type"].as_str()) {
        (None | Some("CapabilityStatement"), _) => String::new(),
        (Some("Bundle"), Some("searchset" | "history")) => {
            match body["entry"].as_array().map(Vec::as_slice) {
                None | Some([]) => "nothing".to_owned(),
                Some([entry, ..]) => extent(&entry["resource"]).to_owned(),
            }
        }
        (Some("Bundle"), _) => {
            let entries = body["entry"].as_array().unwrap();
            let status = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
            format!("[{}]", entries.iter().map(status).collect::<Vec<_>>().join(" "))
        }
        _ => extent(body).to_owned(),
    }
}

/// How much of a resource is shown.
fn extent(resource: &Value) -> &'static str {
    let keys = resource.as_object().unwrap().keys();
    let more = keys.filter(|key| !matches!(key.as_str(), "resourceType" | "id" | "meta")).count();
    match (resource.to_string().contains(CANARY), more) {
        (true, _) => "whole",
        (false, 0) => "metadata",
        (false, _) => "part",
    }
}
