//! The reader: recursive descent over bytes that are known to be UTF-8, bounded in depth and in numbers of things.

use super::{Json, JsonError, JsonProblem, Object, Text};

/// Objects of up to this many members are searched for duplicates one by one; larger ones are sorted, so that a hostile
/// object costs n log n and never n squared.
const SMALL_OBJECT: usize = 12;
const LONGEST_NUMBER: usize = 128;

/// How much of a document is accepted. The defaults are those for one request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of arrays and objects; at most [`Limits::DEEPEST`] whatever is said here. Default 64.
    pub depth: usize,
    /// Members of all objects together. Default 10,000.
    pub keys: usize,
    /// Items of all arrays together. Default 50,000.
    pub items: usize,
    /// Bytes of the text. Default 1 MiB.
    pub bytes: usize,
}

impl Limits {
    /// The reader recurses: more levels than this are never accepted.
    pub const DEEPEST: usize = 128;

    /// For the importer, who reads bundles of whole patients from a file: 64 levels, 4 million members, 256 MiB.
    #[must_use]
    pub const fn import() -> Self {
        Self { depth: 64, keys: 4_000_000, items: 4_000_000, bytes: 256 << 20 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, keys: 10_000, items: 50_000, bytes: 1 << 20 }
    }
}

pub(super) fn read(input: &[u8], limits: &Limits) -> Result<Json, JsonError> {
    let fail = |offset, problem| Err(JsonError::at(input, offset, problem));
    if input.len() > limits.bytes {
        return fail(0, JsonProblem::TooLong(limits.bytes));
    }
    if input.starts_with(b"\xEF\xBB\xBF") {
        return fail(0, JsonProblem::ByteOrderMark);
    }
    let text = match std::str::from_utf8(input) {
        Ok(text) => text,
        Err(error) => return fail(error.valid_up_to(), JsonProblem::NotUtf8),
    };
    let depth = limits.depth.min(Limits::DEEPEST);
    let mut reader = Reader { text, at: 0, limits, most: depth, left: depth, keys: 0, items: 0 };
    reader.document().or_else(|problem| fail(reader.at.min(input.len()), problem))
}

type Read<T> = Result<T, JsonProblem>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    limits: &'a Limits,
    most: usize,
    left: usize,
    keys: usize,
    items: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Read<Json> {
        self.space();
        let value = self.value()?;
        self.space();
        if self.peek().is_some() { Err(JsonProblem::TrailingBytes) } else { Ok(value) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// What to say of a byte that is wrong here: there is none, or it is another one.
    fn unexpected(&self) -> JsonProblem {
        if self.at >= self.text.len() { JsonProblem::Truncated } else { JsonProblem::Syntax }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn value(&mut self) -> Read<Json> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Read<Json> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        let truncated = word.as_bytes().starts_with(rest);
        Err(if truncated { JsonProblem::Truncated } else { JsonProblem::Syntax })
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Read<Json>) -> Read<Json> {
        self.left = self.left.checked_sub(1).ok_or(JsonProblem::TooDeep(self.most))?;
        self.at += 1;
        let value = inner(self)?;
        self.left += 1;
        Ok(value)
    }

    fn array(&mut self) -> Read<Json> {
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            self.items += 1;
            if self.items > self.limits.items {
                return Err(JsonProblem::TooManyItems(self.limits.items));
            }
            self.space();
            items.push(self.value()?);
            self.space();
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b']')?;
        Ok(Json::Array(items))
    }

    fn object(&mut self) -> Read<Json> {
        let mut members: Vec<(Text, Json)> = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Json::Object(Object { members }));
        }
        loop {
            self.keys += 1;
            if self.keys > self.limits.keys {
                return Err(JsonProblem::TooManyKeys(self.limits.keys));
            }
            self.space();
            let start = self.at;
            let key = self.string()?;
            if members.len() < SMALL_OBJECT && members.iter().any(|(name, _)| *name == key) {
                self.at = start;
                return Err(JsonProblem::DuplicateKey);
            }
            self.space();
            self.expect(b':')?;
            self.space();
            members.push((key, self.value()?));
            self.space();
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b'}')?;
        distinct(&members)?;
        Ok(Json::Object(Object { members }))
    }

    fn number(&mut self) -> Read<Json> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        if self.at - start > LONGEST_NUMBER {
            self.at = start;
            return Err(JsonProblem::LongNumber);
        }
        Ok(Json::Number(self.text[start..self.at].into()))
    }

    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    fn string(&mut self) -> Read<Text> {
        self.expect(b'"')?;
        let plain = self.plain()?;
        if self.take(b'"') {
            return Ok(plain.into());
        }
        let mut out = String::with_capacity(plain.len() * 2);
        out.push_str(plain);
        while !self.take(b'"') {
            out.push(self.escape()?);
            out.push_str(self.plain()?);
        }
        Ok(out.into())
    }

    /// The characters up to the next quote or backslash.
    fn plain(&mut self) -> Read<&'a str> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
        self.at = length.map_or(self.text.len(), |length| start + length);
        match self.peek() {
            None => Err(JsonProblem::Truncated),
            Some(0..=0x1F) => Err(JsonProblem::ControlCharacter),
            Some(_) => Ok(&self.text[start..self.at]),
        }
    }

    fn escape(&mut self) -> Read<char> {
        self.expect(b'\\')?;
        let Some(byte) = self.peek() else { return Err(JsonProblem::Truncated) };
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' | b'f' => return Err(JsonProblem::ControlCharacter),
            b'u' => return self.unicode(),
            _ => return Err(JsonProblem::Syntax),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode(&mut self) -> Read<char> {
        let start = self.at;
        let first = self.four()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !(self.take(b'\\') && self.peek() == Some(b'u')) {
                    self.at = start;
                    return Err(JsonProblem::LoneSurrogate);
                }
                let second = self.four()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    self.at = start;
                    return Err(JsonProblem::LoneSurrogate);
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            other => other,
        };
        let character = char::from_u32(code).ok_or(JsonProblem::LoneSurrogate);
        match character {
            Ok(character) if character < ' ' && !matches!(character, '\t' | '\n' | '\r') => {
                Err(JsonProblem::ControlCharacter)
            }
            other => other,
        }
    }

    /// `u` and four hexadecimal digits.
    fn four(&mut self) -> Read<u32> {
        self.expect(b'u')?;
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(JsonProblem::Truncated) };
            let digit = char::from(byte).to_digit(16).ok_or(JsonProblem::Syntax)?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

fn distinct(members: &[(Text, Json)]) -> Read<()> {
    if members.len() <= SMALL_OBJECT {
        return Ok(());
    }
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) { Err(JsonProblem::DuplicateKey) } else { Ok(()) }
}
