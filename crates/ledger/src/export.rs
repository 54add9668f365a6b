//! The export format: entries, checkpoints and cosignatures of one or more logs, as one stream.
//!
//! ```text
//! "carekeep-audit-export 1\n"
//! record*: tag u8 | length u32 big endian | payload
//!   'L' log         tenant id [16]; what follows is this tenant's
//!   'C' checkpoint  the signed note, cosignatures included
//!   'E' entry       index u64 | stored leaf hash [32] | stored entry bytes
//!   'Z' end         number of entries u64 | number of checkpoints u64
//! ```
//!
//! Invariant: bytes are copied as stored, nothing is repaired; the end record makes a cut-off file visible. Write the
//! checkpoints of a log before the entries that they cover, so that a verifier compares each root as it passes by: it then
//! needs no second look at any entry.

use std::io::{self, Read, Write};

use carekeep_kernel::TenantId;
use uuid::Uuid;

use crate::hash::LeafHash;

const MAGIC: &[u8] = b"carekeep-audit-export 1\n";
/// No record that we write is longer; a longer one is damage, not a reason to allocate.
const MAX_RECORD: usize = 16 * 1024 * 1024;
const LOG: u8 = b'L';
const CHECKPOINT: u8 = b'C';
const ENTRY: u8 = b'E';
const END: u8 = b'Z';

/// Why an export cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Reading or writing failed.
    #[error("the export cannot be read or written ({0}): check the file and its disk")]
    Io(#[from] io::Error),
    /// Not an export, or one of another version.
    #[error("this is no audit export that this build knows: check the file, or use the build that wrote it")]
    Unknown,
    /// The stream ends before its end record, or counts do not fit.
    #[error("the export is cut off or incomplete: export again and compare; do not trust this file")]
    Truncated,
    /// A record is damaged.
    #[error("the export is damaged at record {0}: export again and compare; do not trust this file")]
    Damaged(u64),
    /// A record is too long to write.
    #[error("a record of {0} bytes is too long to export: the limit is 16 MiB")]
    TooLong(usize),
}

/// Writes an export.
pub struct Writer<W: Write> {
    out: W,
    entries: u64,
    checkpoints: u64,
}

impl<W: Write> Writer<W> {
    /// Starts an export. Give a buffered writer.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W) -> Result<Self, ExportError> {
        out.write_all(MAGIC)?;
        Ok(Self { out, entries: 0, checkpoints: 0 })
    }

    fn record(&mut self, tag: u8, parts: &[&[u8]]) -> Result<(), ExportError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let short = u32::try_from(length).ok().filter(|_| length <= MAX_RECORD);
        let prefix = short.ok_or(ExportError::TooLong(length))?.to_be_bytes();
        self.out.write_all(&[tag])?;
        self.out.write_all(&prefix)?;
        parts.iter().try_for_each(|part| self.out.write_all(part)).map_err(ExportError::Io)
    }

    /// Starts the log of a tenant, also when it has no entries: its absence would be a finding.
    ///
    /// # Errors
    /// When writing fails.
    pub fn log(&mut self, tenant: TenantId) -> Result<(), ExportError> {
        self.record(LOG, &[tenant.as_bytes()])
    }

    /// Adds a signed checkpoint as stored, with the cosignatures it has. Checkpoints come before the entries they cover.
    ///
    /// # Errors
    /// When writing fails.
    pub fn checkpoint(&mut self, note: &str) -> Result<(), ExportError> {
        self.checkpoints += 1;
        self.record(CHECKPOINT, &[note.as_bytes()])
    }

    /// Adds an entry as stored: its row's index, leaf and bytes.
    ///
    /// # Errors
    /// When writing fails or the entry is longer than 16 MiB.
    pub fn entry(&mut self, index: u64, leaf: LeafHash, bytes: &[u8]) -> Result<(), ExportError> {
        self.entries += 1;
        self.record(ENTRY, &[&index.to_be_bytes(), leaf.as_bytes(), bytes])
    }

    /// Ends the export; without it the file counts as cut off.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> Result<W, ExportError> {
        let (entries, checkpoints) = (self.entries.to_be_bytes(), self.checkpoints.to_be_bytes());
        self.record(END, &[&entries, &checkpoints])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// One record of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// The log of this tenant begins.
    Log(TenantId),
    /// A signed note that should be a checkpoint; unchecked.
    Checkpoint(&'a [u8]),
    /// A stored row; unchecked.
    Entry {
        /// Index of the row.
        index: u64,
        /// Leaf hash of the row.
        leaf: LeafHash,
        /// Entry bytes of the row.
        bytes: &'a [u8],
    },
}

/// Reads an export, one record at a time.
pub struct Reader<R: Read> {
    input: R,
    buffer: Vec<u8>,
    records: u64,
    entries: u64,
    checkpoints: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Starts to read. Give a buffered reader.
    ///
    /// # Errors
    /// When this is no export.
    pub fn new(mut input: R) -> Result<Self, ExportError> {
        let mut magic = [0; MAGIC.len()];
        read_exact(&mut input, &mut magic)?;
        if magic != MAGIC {
            return Err(ExportError::Unknown);
        }
        Ok(Self { input, buffer: Vec::new(), records: 0, entries: 0, checkpoints: 0, ended: false })
    }

    /// The next record; none after the end record, when the counts fit and nothing follows.
    ///
    /// # Errors
    /// When the stream is damaged or cut off.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ExportError> {
        if self.ended {
            return Ok(None);
        }
        let mut head = [0; 5];
        read_exact(&mut self.input, &mut head)?;
        let [tag, length @ ..] = head;
        self.records += 1;
        let damaged = ExportError::Damaged(self.records);
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_RECORD {
            return Err(damaged);
        }
        self.buffer.resize(length, 0);
        read_exact(&mut self.input, &mut self.buffer)?;
        match tag {
            END => return self.end().map(|()| None),
            ENTRY => self.entries += 1,
            CHECKPOINT => self.checkpoints += 1,
            _ => {}
        }
        parse_record(tag, &self.buffer).map(Some).ok_or(damaged)
    }

    fn end(&mut self) -> Result<(), ExportError> {
        let (counts, _) = self.buffer.as_chunks::<8>();
        let right = [self.entries.to_be_bytes(), self.checkpoints.to_be_bytes()];
        let nothing_follows = self.input.read(&mut [0])? == 0;
        self.ended = counts == right && self.buffer.len() == 16 && nothing_follows;
        if self.ended { Ok(()) } else { Err(ExportError::Truncated) }
    }
}

fn parse_record(tag: u8, payload: &[u8]) -> Option<Record<'_>> {
    match tag {
        LOG => Some(Record::Log(TenantId::from_uuid(Uuid::from_slice(payload).ok()?))),
        CHECKPOINT => Some(Record::Checkpoint(payload)),
        ENTRY => {
            let (index, rest) = payload.split_first_chunk::<8>()?;
            let (leaf, bytes) = rest.split_first_chunk::<32>()?;
            Some(Record::Entry {
                index: u64::from_be_bytes(*index),
                leaf: LeafHash::from_bytes(*leaf),
                bytes,
            })
        }
        _ => None,
    }
}

fn read_exact(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), ExportError> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ExportError::Truncated,
        _ => ExportError::Io(error),
    })
}
