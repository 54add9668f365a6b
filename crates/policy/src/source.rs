//! Policy files: read from a directory or built into the program, split into single policies with their lines.
//!
//! Invariant: nothing here judges a policy; it only says where each one stands.

use std::path::Path;

use crate::{PolicyError, error::Place};

/// Which part of the policies a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `base/`: what the platform permits and forbids.
    Base,
    /// `invariants/`: what must never be allowed; proven, not evaluated at run time.
    Invariants,
}

#[derive(Debug, Clone)]
struct SourceFile {
    part: Part,
    name: String,
    text: String,
}

/// The schema and the policy files, as text.
#[derive(Debug, Clone)]
pub struct PolicySource {
    schema: String,
    files: Vec<SourceFile>,
}

/// One policy as text, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Statement<'a> {
    pub(crate) place: Place,
    pub(crate) text: &'a str,
}

macro_rules! shipped_files {
    ($($part:ident $name:literal),+ $(,)?) => {
        vec![$(SourceFile {
            part: Part::$part,
            name: $name.to_owned(),
            text: include_str!(concat!("../../../policies/", $name)).to_owned(),
        }),+]
    };
}

impl PolicySource {
    /// The policies that this program was built with; no folder is needed.
    #[must_use]
    pub fn shipped() -> Self {
        Self {
            schema: include_str!("../../../policies/schema.cedarschema").to_owned(),
            files: shipped_files![
                Base "base/auditor.cedar",
                Base "base/billing.cedar",
                Base "base/clinic_manager.cedar",
                Base "base/clinician.cedar",
                Base "base/directory.cedar",
                Base "base/nurse.cedar",
                Base "base/partner_admin.cedar",
                Base "base/patient.cedar",
                Base "base/platform.cedar",
                Base "base/platform_operator.cedar",
                Base "base/privacy_officer.cedar",
                Base "base/provisioner.cedar",
                Base "base/proxy.cedar",
                Base "base/reception.cedar",
                Base "base/records_reader.cedar",
                Base "base/service_account.cedar",
                Base "base/support.cedar",
                Base "base/tenant_admin.cedar",
                Invariants "invariants/access.cedar",
                Invariants "invariants/administration.cedar",
                Invariants "invariants/beyond_clinics.cedar",
                Invariants "invariants/clinical.cedar",
                Invariants "invariants/minimum_necessary.cedar",
                Invariants "invariants/programs.cedar",
                Invariants "invariants/provisioning.cedar",
            ],
        }
    }

    /// Reads `schema.cedarschema`, `base/*.cedar` and `invariants/*.cedar` under `dir`.
    ///
    /// # Errors
    /// [`PolicyError::Io`] if one cannot be read or is not UTF-8.
    pub fn load(dir: &Path) -> Result<Self, PolicyError> {
        let mut files = Vec::new();
        for (part, folder) in [(Part::Base, "base"), (Part::Invariants, "invariants")] {
            for name in cedar_files(&dir.join(folder))? {
                let text = read(&dir.join(folder).join(&name))?;
                files.push(SourceFile { part, name: format!("{folder}/{name}"), text });
            }
        }
        Ok(Self { schema: read(&dir.join("schema.cedarschema"))?, files })
    }

    /// The Cedar schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Name and text of every file, sorted by name within its part.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|file| (file.name.as_str(), file.text.as_str()))
    }

    pub(crate) fn statements(&self, part: Part) -> impl Iterator<Item = Statement<'_>> {
        let files = self.files.iter().filter(move |file| file.part == part);
        files.flat_map(|file| split(&file.name, &file.text))
    }
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> PolicyError {
    let path = path.to_owned();
    move |source| PolicyError::Io { path, source }
}

fn read(path: &Path) -> Result<String, PolicyError> {
    std::fs::read_to_string(path).map_err(io_error(path))
}

fn cedar_files(folder: &Path) -> Result<Vec<String>, PolicyError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder))? {
        let name = entry.map_err(io_error(folder))?.file_name();
        names.extend(name.to_str().filter(|name| name.ends_with(".cedar")).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Splits a file into policies: a policy ends with the first `;` outside of strings and comments. Cedar's own parser
/// takes a whole file too, but its policies do not say publicly where they stand.
pub(crate) fn split<'a>(file: &str, text: &'a str) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut line = 1;
    let mut scanner = text.char_indices().peekable();
    while let Some((at, ch)) = scanner.next() {
        match ch {
            '\n' => line += 1,
            '/' if scanner.peek().is_some_and(|(_, next)| *next == '/') => {
                while scanner.next_if(|(_, ch)| *ch != '\n').is_some() {}
            }
            _ if ch.is_whitespace() => {}
            _ => {
                let (from, first_line) = *start.get_or_insert((at, line));
                if ch == '"' {
                    line += skip_string(&mut scanner);
                } else if ch == ';' {
                    let place = Place { file: file.to_owned(), line: first_line };
                    statements.push(Statement { place, text: &text[from..=at] });
                    start = None;
                }
            }
        }
    }
    if let Some((from, line)) = start {
        statements.push(Statement { place: Place { file: file.to_owned(), line }, text: &text[from..] });
    }
    statements
}

/// Goes behind the closing quote of a string; gives the number of lines passed.
fn skip_string(scanner: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> usize {
    let mut lines = 0;
    while let Some((_, ch)) = scanner.next() {
        match ch {
            '"' => break,
            '\\' => {
                scanner.next();
            }
            '\n' => lines += 1,
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_found_with_their_lines_whatever_hides_in_strings_and_comments() {
        let text = "// a; b\n\n@id(\"x;\\\";y\")\npermit(principal, action, resource); // c;\nforbid (\nprincipal, action, resource);;\nrest";
        let found: Vec<_> = split("f", text).into_iter().map(|s| (s.place.line, s.text)).collect();
        assert_eq!(
            found,
            [
                (3, "@id(\"x;\\\";y\")\npermit(principal, action, resource);"),
                (5, "forbid (\nprincipal, action, resource);"),
                (6, ";"),
                (7, "rest"),
            ]
        );
    }

    #[test]
    fn the_built_in_policies_are_the_files_of_the_directory() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let loaded = PolicySource::load(&dir).unwrap();
        let shipped = PolicySource::shipped();
        assert_eq!(loaded.schema(), shipped.schema());
        assert!(loaded.files().eq(shipped.files()), "a file is missing in PolicySource::shipped, or is gone");
    }
}
