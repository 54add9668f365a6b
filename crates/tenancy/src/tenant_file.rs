//! `tenants/<slug>/tenant.toml`: a tenant described as a file, for `carekeep tenant create --file` and `carekeep dev`.

use std::path::Path;

use carekeep_kernel::TenantKind;
use serde::Deserialize;

use crate::{NewTenant, TenancyError};

/// A tenant described as a file.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TenantFile {
    /// Its partner; the platform's own tenant has none.
    #[serde(default)]
    pub partner: Option<PartnerEntry>,
    /// The tenant.
    pub tenant: TenantEntry,
    /// People to make on a developer's machine; any other profile refuses a file that has them.
    #[serde(default)]
    pub demo_people: Vec<DemoPerson>,
}

/// The partner that the tenant belongs to; made if it is new.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PartnerEntry {
    /// Short name.
    pub slug: String,
    /// Name for people.
    pub name: String,
}

/// The tenant itself.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TenantEntry {
    /// Whose people it has: those of a clinic if nothing is said.
    #[serde(default)]
    pub kind: TenantKind,
    /// Short name.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Region that holds its data.
    pub region: String,
    /// Host names.
    pub hosts: Vec<String>,
    /// The colour of its brand, `#rrggbb`; without one its pages have the product's.
    #[serde(default)]
    pub accent: Option<String>,
}

/// A person for a developer's machine.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DemoPerson {
    /// Login name.
    pub login: String,
    /// Display name.
    pub name: String,
    /// Roles, as in the policy vocabulary.
    pub roles: Vec<String>,
}

impl TenantFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TenancyError::File`] with the line that is wrong.
    pub fn read(path: &Path) -> Result<Self, TenancyError> {
        let wrong = |reason: String| TenancyError::File { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Reads `*/tenant.toml` under a folder, by folder name.
    ///
    /// # Errors
    /// [`TenancyError::File`] for a folder or file that cannot be read.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, TenancyError> {
        let wrong = |error: std::io::Error| TenancyError::File {
            path: folder.display().to_string(),
            reason: error.to_string(),
        };
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .map_err(wrong)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path().join("tenant.toml")))
            .filter(|path| path.is_file())
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The tenant to make.
    #[must_use]
    pub fn new_tenant(&self) -> NewTenant {
        NewTenant {
            kind: self.tenant.kind,
            partner: self.partner.as_ref().map(|partner| partner.slug.clone()),
            slug: self.tenant.slug.clone(),
            name: self.tenant.name.clone(),
            region: self.tenant.region.clone(),
            hosts: self.tenant.hosts.clone(),
            accent: self.tenant.accent.clone(),
        }
    }
}
