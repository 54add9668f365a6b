//! JSON without ambiguity (RFC 8259, I-JSON RFC 7493): no duplicate names, bounded depth and size of structure.

use std::{collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};

use crate::problem::{Problem, catalogue};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: u32 = 64;

/// Most names in all objects of a body together. A large Bundle goes past this: see [`check`].
pub const MAX_NAMES: u32 = 10_000;

/// Reads a value from strict JSON of at most [`MAX_NAMES`] names.
///
/// # Errors
/// 400 with line and column if the text is not strict JSON or too complex, 422 if it does not fit `T`. No part of the body is
/// repeated.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    check(bytes, MAX_NAMES)?;
    serde_json::from_slice(bytes).map_err(|error| at(catalogue::UNPROCESSABLE, &error))
}

/// Checks that the bytes are one strict JSON text with at most `max_names` names, without building it.
///
/// # Errors
/// 400, with line and column where reading stopped.
pub fn check(bytes: &[u8], max_names: u32) -> Result<(), Problem> {
    let mut left = max_names;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let result = Strict { depth: 0, left: &mut left }.deserialize(&mut reader).and_then(|()| reader.end());
    result.map_err(|error| {
        let text = error.to_string();
        let complex = text.starts_with(COMPLEX) || text.starts_with("recursion limit");
        at(if complex { catalogue::JSON_TOO_COMPLEX } else { catalogue::MALFORMED_JSON }, &error)
    })
}

const COMPLEX: &str = "too complex";

fn at(problem: Problem, error: &serde_json::Error) -> Problem {
    problem.member("line", error.line()).member("column", error.column())
}

struct Strict<'a> {
    depth: u32,
    left: &'a mut u32,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<Strict<'_>, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(COMPLEX));
        }
        Ok(Strict { depth: self.depth + 1, left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),+) => {$(
        fn $method<E: serde::de::Error>(self, _: $type) -> Result<(), E> {
            Ok(())
        }
    )+};
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let mut inner = self.deeper()?;
        while items.next_element_seed(Strict { depth: inner.depth, left: inner.left })?.is_some() {
            inner.depth = inner.depth.max(1);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(name) = entries.next_key::<String>()? {
            *inner.left = inner.left.checked_sub(1).ok_or_else(|| A::Error::custom(COMPLEX))?;
            if !seen.insert(name) {
                return Err(A::Error::custom("duplicate name"));
            }
            entries.next_value_seed(Strict { depth: inner.depth, left: inner.left })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &[u8]) -> &'static str {
        check(text, MAX_NAMES).map_or_else(|problem| problem.code(), |()| "ok")
    }

    #[test]
    fn bar_f9_hostile_json_is_refused_and_honest_json_is_not() {
        assert_eq!(code(br#"{"a":[1,-2.5e3,"x",null,true,{"a":{}}],"b":{"a":1}}"#), "ok");
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert_eq!(code(&nested(64)), "ok");
        assert_eq!(code(&nested(65)), "json-too-complex");
        assert_eq!(code(&nested(100_000)), "json-too-complex");
        let names = |n: usize| {
            format!("{{{}}}", (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(",")).into_bytes()
        };
        assert_eq!(code(&names(10_000)), "ok");
        assert_eq!(code(&names(10_001)), "json-too-complex");
        for bad in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"{"a":1"#,
            br#"{"a":1} x"#,
            b"",
            b"\xff",
            b"\"\xff\"",
            b"\xef\xbb\xbf{}",
            b"NaN",
            b"[1,]",
            br#""\ud800""#,
        ] {
            assert_eq!(code(bad), "malformed-json", "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn an_error_names_the_place_and_not_the_content() {
        let problem = parse::<Vec<u8>>(b"[1,\n\"Kowalski\"]").unwrap_err();
        let shown = format!("{problem:?}");
        assert!(shown.contains("line") && !shown.contains("Kowalski"), "{shown}");
        assert_eq!(problem.code(), "unprocessable-body");
        assert_eq!(parse::<Vec<u8>>(b"[1, 2]").unwrap(), [1, 2]);
    }
}
