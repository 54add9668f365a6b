//! Importing FHIR transaction bundles through the public API: what is served is stored, the rest is refused by name, and
//! nothing is dropped silently.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{client::TenantClient, error::Failure};

/// What became of the entries of all bundles.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Entries in the bundles.
    pub entries: usize,
    /// Stored resources by type.
    pub stored: BTreeMap<String, usize>,
    /// Entries that were not stored, by the reason that the server gave.
    pub refused: BTreeMap<String, usize>,
    /// Ids of the patients that were stored.
    pub patients: Vec<String>,
}

impl Imported {
    /// Resources that were stored.
    #[must_use]
    pub fn stored_total(&self) -> usize {
        self.stored.values().sum()
    }

    /// Entries that were refused.
    #[must_use]
    pub fn refused_total(&self) -> usize {
        self.refused.values().sum()
    }

    fn add(&mut self, response: &Value) {
        let status = response.pointer("/response/status").and_then(Value::as_str).unwrap_or_default();
        let location = response.pointer("/response/location").and_then(Value::as_str);
        self.entries += 1;
        match location.and_then(typed_id) {
            Some((kind, id)) if status.starts_with("20") => {
                if kind == "Patient" {
                    self.patients.push(id.to_owned());
                }
                *self.stored.entry(kind.to_owned()).or_default() += 1;
            }
            _ => {
                let reason = response
                    .pointer("/response/outcome/issue/0/diagnostics")
                    .and_then(Value::as_str)
                    .unwrap_or(status);
                *self.refused.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }
}

/// `.../Patient/<id>/_history/1` -> `Patient`, `<id>`.
fn typed_id(location: &str) -> Option<(&str, &str)> {
    let mut parts = location.rsplit('/');
    let (_version, history) = (parts.next()?, parts.next()?);
    let (id, kind) = (parts.next()?, parts.next()?);
    (history == "_history").then_some((kind, id))
}

/// The bundles of a folder, `.json` and `.json.gz`, by name.
///
/// # Errors
/// [`Failure::File`] when the folder cannot be read; [`Failure::Message`] when there are none.
pub fn bundles(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(Failure::file(folder))?;
    let is_bundle = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".json") || name.ends_with(".json.gz")
    };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(is_bundle).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::message(format!("{}: no .json or .json.gz files", folder.display())));
    }
    Ok(paths)
}

/// The bytes of a bundle, unpacked.
///
/// # Errors
/// [`Failure::File`].
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).map_err(Failure::file(path))?;
    Ok(unpacked)
}

/// Sends bundles one after another; `progress` hears of each: how many of how many, and resources stored so far.
///
/// # Errors
/// [`Failure`] of the first bundle that is refused as a whole; those before it are stored.
pub async fn import(
    client: &TenantClient,
    paths: &[PathBuf],
    progress: impl Fn(usize, usize, usize),
) -> Result<Imported, Failure> {
    let mut imported = Imported::default();
    for (index, path) in paths.iter().enumerate() {
        let answer = client
            .bundle(read(path)?)
            .await
            .map_err(|error| Failure::message(format!("{}: {error}", path.display())))?;
        for entry in answer.get("entry").and_then(Value::as_array).into_iter().flatten() {
            imported.add(entry);
        }
        progress(index + 1, paths.len(), imported.stored_total());
    }
    Ok(imported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_entry_is_stored_or_refused_by_name() {
        let mut imported = Imported::default();
        imported.add(&json!({"response": {"status": "201 Created", "location": "https://x/fhir/R4/Patient/7/_history/1"}}));
        imported.add(&json!({"response": {"status": "422 Unprocessable Entity",
            "outcome": {"issue": [{"diagnostics": "Claim is not served here"}]}}}));
        assert_eq!((imported.entries, imported.stored_total(), imported.refused_total()), (2, 1, 1));
        assert_eq!(imported.patients, ["7"]);
        assert_eq!(imported.refused.get("Claim is not served here"), Some(&1));
    }
}
