//! A strict JSON document (RFC 8259) that keeps what FHIR needs kept: number text digit by digit, and key order.
//!
//! Invariants: a document that was read holds no duplicate key, no lone surrogate and no control character but tab,
//! line feed and carriage return (FHIR R4, datatypes, `string`); it is no deeper than its [`Limits`] allowed. The
//! types carry PHI: no `Debug`, no `Display`, no `Clone` ([`Json::duplicate`] is there for the few who need a copy), and
//! all text is wiped on drop.

mod error;
mod read;
mod write;

pub use error::{JsonError, JsonProblem};
pub use read::Limits;
use zeroize::Zeroize;

/// A text of a document: wiped on drop.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Box<str>);

impl Text {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_boxed_str())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A JSON value. Numbers are the text that was read: `1.0` and `1.00` differ, as FHIR's decimals do.
#[derive(PartialEq, Eq)]
pub enum Json {
    /// `null`; FHIR has it only as a place holder inside arrays of primitives.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as the text that was read.
    Number(Text),
    /// A string, unescaped.
    String(Text),
    /// An array.
    Array(Vec<Json>),
    /// An object; the keys keep their order.
    Object(Object),
}

/// A JSON object: members in their order, each key once.
#[derive(PartialEq, Eq, Default)]
pub struct Object {
    members: Vec<(Text, Json)>,
}

impl Json {
    /// Reads one document; the whole input must be that document.
    ///
    /// # Errors
    /// [`JsonError`] names the problem, its position and what to do; never what the input said.
    pub fn parse(input: &[u8], limits: &Limits) -> Result<Self, JsonError> {
        read::read(input, limits)
    }

    /// A string value.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::String(text.into())
    }

    /// A whole number.
    #[must_use]
    pub fn integer(number: i64) -> Self {
        Self::Number(number.to_string().into())
    }

    /// An object of these members. A key named twice keeps its last value.
    #[must_use]
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        let mut object = Object::default();
        for (key, value) in members {
            object.set(key, value);
        }
        Self::Object(object)
    }

    /// The member of this object; `None` when there is none or this is no object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text.as_str()) } else { None }
    }

    /// The text of the member, if that is a string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The number's text, if this is a number.
    #[must_use]
    pub fn as_number(&self) -> Option<&str> {
        if let Self::Number(text) = self { Some(text.as_str()) } else { None }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The items of the member; empty when there is none or it is no array.
    #[must_use]
    pub fn items(&self, key: &str) -> &[Self] {
        self.get(key).and_then(Self::as_array).unwrap_or(&[])
    }

    /// The object, if this is one.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The object, if this is one, to change it.
    #[must_use]
    pub const fn as_object_mut(&mut self) -> Option<&mut Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// A deep copy. Named, because every copy of PHI is one more place to wipe: the copy is wiped on drop as well.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(text) => Self::Number(text.as_str().into()),
            Self::String(text) => Self::String(text.as_str().into()),
            Self::Array(items) => Self::Array(items.iter().map(Self::duplicate).collect()),
            Self::Object(object) => Self::Object(object.duplicate()),
        }
    }

    /// Appends the compact JSON of this document: no white space, numbers as they were read, keys in their order.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        write::value(self, out);
    }

    /// The compact JSON of this document. The caller wipes or seals what comes back.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write_to(&mut out);
        out
    }

    /// Whether both say the same, whatever the order of their keys: how FHIR compares two resources.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, value)| b.get(key).is_some_and(|theirs| value.same(theirs)))
            }
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.same(y)),
            _ => self == other,
        }
    }
}

impl Object {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.members.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value)
    }

    /// The value of a key, to change it.
    #[must_use]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.members.iter_mut().find(|(name, _)| name.as_str() == key).map(|(_, value)| value)
    }

    /// Sets a key: in its place if it is there, else at the end.
    pub fn set(&mut self, key: &str, value: Json) {
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.members.push((key.into(), value)),
        }
    }

    /// Sets a key: in its place if it is there, else at `position` (or the end, if that is nearer).
    pub fn set_at(&mut self, position: usize, key: &str, value: Json) {
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.members.insert(position.min(self.members.len()), (key.into(), value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let at = self.members.iter().position(|(name, _)| name.as_str() == key)?;
        Some(self.members.remove(at).1)
    }

    /// The members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The members in their order, the values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Json)> {
        self.members.iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A deep copy; see [`Json::duplicate`].
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = |(key, value): &(Text, Json)| (Text::from(key.as_str()), value.duplicate());
        Self { members: self.members.iter().map(copy).collect() }
    }
}
