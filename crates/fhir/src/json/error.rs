//! Why a text is no document: the problem and where it is, never what it says.

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// A byte sequence that is no UTF-8.
    #[error("the body is not UTF-8; send it as UTF-8 (RFC 8259 section 8.1)")]
    NotUtf8,
    /// A byte order mark in front.
    #[error("the body starts with a byte order mark; send UTF-8 without it")]
    ByteOrderMark,
    /// The text ended inside a value.
    #[error("the body ends too early; send the whole document")]
    Truncated,
    /// Something that JSON has not at this place.
    #[error("this is not JSON; send a document as RFC 8259 defines it")]
    Syntax,
    /// Something after the document.
    #[error("something follows the document; send one document only")]
    TrailingBytes,
    /// An object names a key twice.
    #[error("an object names a key twice; name each key once")]
    DuplicateKey,
    /// Deeper than [`Limits::depth`](super::Limits::depth).
    #[error("the document is nested too deeply; send at most {0} levels")]
    TooDeep(usize),
    /// More members than [`Limits::keys`](super::Limits::keys).
    #[error("the document has too many members; send at most {0}, or split it")]
    TooManyKeys(usize),
    /// More array items than [`Limits::items`](super::Limits::items).
    #[error("the document has too many array items; send at most {0}, or split it")]
    TooManyItems(usize),
    /// More bytes than [`Limits::bytes`](super::Limits::bytes).
    #[error("the document is too long; send at most {0} bytes, or split it")]
    TooLong(usize),
    /// A number of more than 128 characters.
    #[error("a number has too many digits; send at most 128 characters")]
    LongNumber,
    /// `\uD800` to `\uDFFF` without its other half.
    #[error("a string has half of a surrogate pair; escape both halves or none")]
    LoneSurrogate,
    /// A control character, plain or escaped, that FHIR does not allow in a string.
    #[error("a string has a control character; only tab, line feed and carriage return are allowed, escaped")]
    ControlCharacter,
}

/// A JSON text that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (line {line}, column {column})")]
pub struct JsonError {
    /// What is wrong.
    pub problem: JsonProblem,
    /// Bytes before the problem.
    pub offset: usize,
    /// The line of the problem; the first is 1.
    pub line: usize,
    /// The column of the problem in bytes; the first is 1.
    pub column: usize,
}

impl JsonError {
    pub(super) fn at(input: &[u8], offset: usize, problem: JsonProblem) -> Self {
        let before = input.get(..offset).unwrap_or(input);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Self { problem, offset, line, column: before.len() - start + 1 }
    }
}
