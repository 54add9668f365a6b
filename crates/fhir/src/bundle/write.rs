//! Bundles that the server answers with, written around resources that are already serialised: no body is parsed again.

use carekeep_kernel::{ResourceId, Timestamp};

use super::BundleKind;
use crate::{json::Json, outcome::Outcome, types::ResourceType};

/// Which bundle is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// `searchset`.
    Searchset,
    /// `history`.
    History,
}

/// What stands before the entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head<'a> {
    /// All matches, if they were counted.
    pub total: Option<u64>,
    /// The address of this page.
    pub self_url: &'a str,
    /// The address of the next page, if there is one.
    pub next_url: Option<&'a str>,
}

/// Writes a searchset or a history piece by piece into one buffer. What is in the buffer may be sent and taken out between any two
/// calls.
pub struct ListWriter {
    kind: ListKind,
    first: bool,
}

/// A version in a history.
#[derive(Debug, Clone, Copy)]
pub struct HistoryEntry {
    /// The type.
    pub kind: ResourceType,
    /// The id.
    pub id: ResourceId,
    /// The version's number.
    pub version: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What wrote it.
    pub method: super::Method,
}

fn text(out: &mut Vec<u8>, value: &str) {
    Json::string(value).write_to(out);
}

fn raw(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(value.as_bytes());
}

impl ListWriter {
    /// Starts the bundle.
    #[must_use]
    pub fn begin(kind: ListKind, head: &Head<'_>, out: &mut Vec<u8>) -> Self {
        let name = match kind {
            ListKind::Searchset => "searchset",
            ListKind::History => "history",
        };
        raw(out, r#"{"resourceType":"Bundle","type":""#);
        raw(out, name);
        raw(out, "\"");
        if let Some(total) = head.total {
            raw(out, &format!(r#","total":{total}"#));
        }
        raw(out, r#","link":[{"relation":"self","url":"#);
        text(out, head.self_url);
        if let Some(next) = head.next_url {
            raw(out, r#"},{"relation":"next","url":"#);
            text(out, next);
        }
        raw(out, "}]");
        Self { kind, first: true }
    }

    fn entry(&mut self, out: &mut Vec<u8>, full_url: Option<&str>) {
        raw(out, if self.first { r#","entry":["# } else { "," });
        self.first = false;
        raw(out, "{");
        if let Some(address) = full_url {
            raw(out, r#""fullUrl":"#);
            text(out, address);
            raw(out, ",");
        }
    }

    /// A match: the resource's JSON goes in as it is.
    pub fn push_match(&mut self, full_url: &str, resource: &[u8], out: &mut Vec<u8>) {
        self.entry(out, Some(full_url));
        raw(out, r#""resource":"#);
        out.extend_from_slice(resource);
        raw(out, r#","search":{"mode":"match"}}"#);
    }

    /// Something to say about the search, for example that it was cut short.
    pub fn push_outcome(&mut self, outcome: &Outcome, out: &mut Vec<u8>) {
        self.entry(out, None);
        raw(out, r#""resource":"#);
        outcome.to_json().write_to(out);
        raw(out, r#","search":{"mode":"outcome"}}"#);
    }

    /// A version; `resource` is `None` for a deletion.
    pub fn push_version(
        &mut self,
        base: &str,
        version: &HistoryEntry,
        resource: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        use super::Method::{Create, Delete, Update};
        let address = format!("{base}/{}/{}", version.kind, version.id);
        self.entry(out, Some(&address));
        if let Some(resource) = resource {
            raw(out, r#""resource":"#);
            out.extend_from_slice(resource);
            raw(out, ",");
        }
        let (method, status) = match version.method {
            Create => ("POST", "201 Created"),
            Update => ("PUT", "200 OK"),
            Delete => ("DELETE", "204 No Content"),
        };
        let url = if version.method == Create {
            version.kind.to_string()
        } else {
            format!("{}/{}", version.kind, version.id)
        };
        raw(
            out,
            &format!(
                r#""request":{{"method":"{method}","url":"{url}"}},"response":{{"status":"{status}","etag":"W/\"{}\"","lastModified":"{}"}}}}"#,
                version.version, version.at
            ),
        );
    }

    /// Ends the bundle.
    pub fn finish(self, out: &mut Vec<u8>) {
        raw(out, if self.first { "}" } else { "]}" });
    }

    /// Which bundle this is.
    #[must_use]
    pub const fn kind(&self) -> ListKind {
        self.kind
    }
}

/// The answer to one entry of a transaction or batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryResponse {
    /// Done.
    Done {
        /// For example `201 Created`.
        status: &'static str,
        /// The type.
        kind: ResourceType,
        /// The id.
        id: ResourceId,
        /// The version it has now.
        version: u64,
        /// When it was written.
        at: Timestamp,
    },
    /// Refused; in a batch only.
    Refused {
        /// For example `422 Unprocessable Entity`.
        status: &'static str,
        /// Why.
        outcome: Outcome,
    },
}

/// The response bundle: one answer per entry, in the order of the request.
#[must_use]
pub fn responses(kind: BundleKind, base: &str, entries: &[EntryResponse]) -> Json {
    let name = match kind {
        BundleKind::Transaction => "transaction-response",
        BundleKind::Batch => "batch-response",
    };
    let entry = |response: &EntryResponse| {
        let inner = match response {
            EntryResponse::Done { status, kind, id, version, at } => Json::object([
                ("status", Json::string(status)),
                ("location", Json::string(&format!("{base}/{kind}/{id}/_history/{version}"))),
                ("etag", Json::string(&format!("W/\"{version}\""))),
                ("lastModified", Json::string(&at.to_string())),
            ]),
            EntryResponse::Refused { status, outcome } => {
                Json::object([("status", Json::string(status)), ("outcome", outcome.to_json())])
            }
        };
        Json::object([("response", inner)])
    };
    let mut bundle = Json::object([("resourceType", Json::string("Bundle")), ("type", Json::string(name))]);
    if let (false, Some(object)) = (entries.is_empty(), bundle.as_object_mut()) {
        object.set("entry", Json::Array(entries.iter().map(entry).collect()));
    }
    bundle
}
