//! The formats of R4's primitive types (<https://hl7.org/fhir/R4/datatypes.html#primitive>), matched by hand in one pass: no regular
//! expression can be made to run long.

use super::xhtml;
use crate::{json::Json, search::dates};

macro_rules! primitives {
    ($($name:ident $code:literal $expected:literal,)+) => {
        /// A primitive type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Primitive { $($name,)+ }

        impl Primitive {
            pub(super) fn named(name: &str) -> Option<Self> {
                match name { $($code => Some(Self::$name),)+ _ => None }
            }

            /// What to send.
            pub(super) const fn expected(self) -> &'static str {
                match self { $(Self::$name => $expected,)+ }
            }
        }
    };
}

primitives! {
    Base64Binary "base64Binary" "base64 text",
    Boolean "boolean" "true or false, without quotes",
    Canonical "canonical" "an address without white space",
    Code "code" "a code without white space at its ends",
    Date "date" "a date such as 1980, 1980-05 or 1980-05-02",
    DateTime "dateTime" "a date, or a date with a time to the second and a zone, such as 2026-01-31T12:00:00Z",
    Decimal "decimal" "a number, without quotes",
    Id "id" "1 to 64 letters, digits, - or .",
    Instant "instant" "a moment with date, seconds and zone, such as 2026-01-31T12:00:00Z",
    Integer "integer" "a whole number of 32 bits, without quotes",
    Markdown "markdown" "text that is not empty",
    Oid "oid" "urn:oid: and numbers separated by dots",
    PositiveInt "positiveInt" "a whole number from 1 to 2147483647, without quotes",
    String "string" "text that is not empty, at most 1 MiB",
    Time "time" "a time such as 12:00:00",
    UnsignedInt "unsignedInt" "a whole number from 0 to 2147483647, without quotes",
    Uri "uri" "an address without white space",
    Url "url" "an address without white space",
    Uuid "uuid" "urn:uuid: and a UUID in lower case",
    Xhtml "xhtml" "a div of well-formed XHTML with formatting only: no scripts, forms, events, foreign content",
}

impl Primitive {
    /// Whether a value has this format.
    pub(super) fn fits(self, value: &Json) -> bool {
        match (self, value) {
            (Self::Boolean, Json::Bool(_)) => true,
            (Self::Decimal, Json::Number(_)) => true,
            (Self::Integer, Json::Number(text)) => whole(text.as_str()).is_some(),
            (Self::UnsignedInt, Json::Number(text)) => whole(text.as_str()).is_some_and(|number| number >= 0),
            (Self::PositiveInt, Json::Number(text)) => whole(text.as_str()).is_some_and(|number| number > 0),
            (Self::Boolean | Self::Decimal | Self::Integer | Self::UnsignedInt | Self::PositiveInt, _) => {
                false
            }
            (_, Json::String(text)) => self.fits_text(text.as_str()),
            _ => false,
        }
    }

    fn fits_text(self, text: &str) -> bool {
        match self {
            Self::Base64Binary => base64(text),
            Self::Canonical | Self::Uri | Self::Url => {
                !text.is_empty() && !text.contains(char::is_whitespace)
            }
            Self::Code => code(text),
            Self::Date => dates::day_range(text).is_some(),
            Self::DateTime => {
                if text.contains('T') {
                    instant(text)
                } else {
                    dates::day_range(text).is_some()
                }
            }
            Self::Id => id(text),
            Self::Instant => instant(text),
            Self::Oid => text.strip_prefix("urn:oid:").is_some_and(oid),
            Self::Time => time(text),
            Self::Uuid => text
                .strip_prefix("urn:uuid:")
                .is_some_and(|uuid| uuid.parse::<carekeep_kernel::ResourceId>().is_ok()),
            Self::Xhtml => xhtml::safe(text),
            _ => !text.is_empty() && text.len() <= 1 << 20,
        }
    }
}

/// A whole number of 32 bits as JSON writes it: no fraction, no exponent, no `-0`.
fn whole(text: &str) -> Option<i32> {
    if text == "-0" { None } else { text.parse().ok() }
}

/// `Resource.id`.
pub(super) fn id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

fn code(text: &str) -> bool {
    let mut before = true;
    for letter in text.chars() {
        let space = letter.is_whitespace();
        if space && before {
            return false;
        }
        before = space;
    }
    !before
}

fn base64(text: &str) -> bool {
    let mut letters = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'=' => padding += 1,
            b'+' | b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' if padding == 0 => {}
            _ => return false,
        }
        letters += 1;
    }
    letters > 0 && letters.is_multiple_of(4) && padding <= 2
}

fn oid(text: &str) -> bool {
    let number = |part: &str| {
        part == "0"
            || (!part.is_empty() && !part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut parts = text.split('.');
    parts.next().is_some_and(|first| matches!(first, "0" | "1" | "2"))
        && text.contains('.')
        && parts.all(number)
}

/// Date, time to the second at least, zone.
fn instant(text: &str) -> bool {
    let bytes = text.as_bytes();
    let zoned = text.ends_with('Z')
        || bytes
            .len()
            .checked_sub(6)
            .and_then(|at| bytes.get(at))
            .is_some_and(|sign| matches!(sign, b'+' | b'-'));
    bytes.get(10) == Some(&b'T')
        && bytes.get(16) == Some(&b':')
        && bytes.len() >= 20
        && zoned
        && dates::range(text).is_some()
}

fn time(text: &str) -> bool {
    // A time of day has no zone; with a day and a zone around it, it is an instant.
    !text.contains(['Z', '+', '-', 'T']) && instant(&format!("2000-01-01T{text}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (type, texts that fit, texts that do not)
    const TEXTS: &[(Primitive, &[&str], &[&str])] = &[
        (
            Primitive::Date,
            &["1980", "1980-05", "1980-05-31", "2024-02-29", "9999-12-31"],
            &[
                "",
                "80",
                "1980-5",
                "1980-13",
                "1980-02-30",
                "2023-02-29",
                "1980-05-02T",
                "0000",
                "1980-05-02Z",
                "19800502",
            ],
        ),
        (
            Primitive::DateTime,
            &["1980", "2026-01-31T12:00:00Z", "2026-01-31T12:00:60.123+14:00", "2026-01-31T00:00:00-05:00"],
            &[
                "2026-01-31T12:00Z",
                "2026-01-31T12:00:00",
                "2026-01-31T24:00:00Z",
                "2026-01-31T12:00:61Z",
                "2026-01T12:00:00Z",
                "2026-01-31 12:00:00Z",
                "2026-01-31T12:00:00+15:00",
                "2026-01-31T12:00:00.Z",
            ],
        ),
        (Primitive::Instant, &["2026-01-31T12:00:00.000001Z"], &["2026-01-31", "2026"]),
        (Primitive::Time, &["12:00:00", "23:59:60.5"], &["12:00", "24:00:00", "12:00:00Z", ""]),
        (Primitive::Code, &["a", "a b", "final"], &["", " a", "a ", "a  b", "a\n"]),
        (Primitive::Id, &["a", "A-1.b", "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e"], &["", "a_b", "a/b", "é"]),
        (Primitive::Uri, &["urn:x", "http://a/b"], &["", "a b"]),
        (
            Primitive::Oid,
            &["urn:oid:1.2.840"],
            &["urn:oid:", "urn:oid:3.1", "1.2.3", "urn:oid:1.02", "urn:oid:1"],
        ),
        (
            Primitive::Uuid,
            &["urn:uuid:018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e"],
            &["018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e"],
        ),
        (Primitive::Base64Binary, &["QUJD", "QUI=", "QQ==", "QU JD\n"], &["", "QUJ", "Q===", "QU=D", "Q*JD"]),
        (Primitive::String, &["x", " "], &[""]),
    ];

    #[test]
    fn formats_take_what_r4_allows_and_nothing_else() {
        for (primitive, good, bad) in TEXTS {
            good.iter()
                .for_each(|text| assert!(primitive.fits(&Json::string(text)), "{primitive:?} {text:?}"));
            bad.iter()
                .for_each(|text| assert!(!primitive.fits(&Json::string(text)), "{primitive:?} {text:?}"));
        }
    }

    #[test]
    fn numbers_and_booleans_are_not_strings() {
        let number = |text: &str| Json::Number(text.into());
        assert!(Primitive::Integer.fits(&number("-5")) && !Primitive::Integer.fits(&Json::string("-5")));
        assert!(!Primitive::Integer.fits(&number("1.0")) && !Primitive::Integer.fits(&number("3000000000")));
        assert!(Primitive::UnsignedInt.fits(&number("0")) && !Primitive::UnsignedInt.fits(&number("-1")));
        assert!(Primitive::PositiveInt.fits(&number("1")) && !Primitive::PositiveInt.fits(&number("0")));
        assert!(Primitive::Decimal.fits(&number("1.00e3")) && !Primitive::Decimal.fits(&Json::string("1.0")));
        assert!(
            Primitive::Boolean.fits(&Json::Bool(true)) && !Primitive::Boolean.fits(&Json::string("true"))
        );
        assert!(!Primitive::String.fits(&number("1")) && !Primitive::String.fits(&Json::Null));
    }
}
