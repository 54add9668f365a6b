//! One spelling for what people write in many: names, phone numbers, e-mail addresses, tokens.
//!
//! Invariant: the text of an [`IndexValue`](carekeep_kernel::index::IndexValue) is injective. Parts are joined by U+001F, which
//! no FHIR string can hold, and every kind of text has a prefix of its own.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Between system and code.
const SEPARATOR: char = '\u{1f}';
/// Word prefixes are indexed from this length on; a shorter query finds whole words only.
pub(super) const SHORTEST_PREFIX: usize = 2;
/// Word prefixes are indexed up to this length; what a query says beyond is not compared.
pub(super) const LONGEST_PREFIX: usize = 12;

/// The words of a name: compatibility-decomposed, without accents, lower case; apostrophes and full stops join, all else that is
/// no letter and no digit separates.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    for letter in text.nfkd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() {
            fold(letter, &mut word);
        } else if !matches!(letter, '\'' | '\u{2019}' | '\u{2bc}' | '`' | '.') && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// Letters that are no base letter with an accent for Unicode, but are for somebody at a keyboard without them.
fn fold(letter: char, out: &mut String) {
    match letter {
        'ß' => out.push_str("ss"),
        'æ' => out.push_str("ae"),
        'œ' => out.push_str("oe"),
        'þ' => out.push_str("th"),
        'ø' => out.push('o'),
        'ł' => out.push('l'),
        'đ' | 'ð' => out.push('d'),
        'ı' => out.push('i'),
        other => out.push(other),
    }
}

/// The texts under which a word is found: its prefixes of 2 to 12 letters, or itself if it is one letter.
pub(super) fn word_prefixes(word: &str) -> impl Iterator<Item = String> {
    let length = word.chars().count();
    let from = SHORTEST_PREFIX.min(length);
    (from..=length.min(LONGEST_PREFIX)).map(move |letters| word_text(word, letters))
}

/// The text that a query word looks up.
pub(super) fn word_query(word: &str) -> String {
    word_text(word, LONGEST_PREFIX)
}

fn word_text(word: &str, letters: usize) -> String {
    let mut text = String::from("p:");
    text.extend(word.chars().take(letters));
    text
}

/// The text of a whole name part, as it was written.
pub(super) fn exact(text: &str) -> String {
    format!("x:{text}")
}

/// A code with its system.
pub(super) fn system_code(system: &str, code: &str) -> String {
    format!("sc:{system}{SEPARATOR}{code}")
}

/// A code under whatever system.
pub(super) fn any_code(code: &str) -> String {
    format!("c:{code}")
}

/// A code that has no system.
pub(super) fn bare_code(code: &str) -> String {
    format!("nc:{code}")
}

/// A link to a resource of this server.
pub(super) fn link(kind: &str, id: &str) -> String {
    format!("r:{kind}/{id}")
}

/// A phone number: its digits. A leading `+` or `00` falls away, and so does all punctuation. Fewer than three digits are no
/// number.
pub(super) fn phone(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number = digits.strip_prefix("00").unwrap_or(&digits);
    (number.len() >= 3).then(|| format!("t:{number}"))
}

/// An e-mail address in lower case.
pub(super) fn email(text: &str) -> String {
    format!("e:{}", text.trim().to_lowercase())
}

/// Another contact point, as it was written.
pub(super) fn other_contact(text: &str) -> String {
    format!("o:{}", text.trim())
}

/// A birth date at the precision of `date`.
pub(super) fn birthdate(date: &str) -> String {
    format!("d:{date}")
}

/// A category as its clear column holds it.
pub(super) fn category(system: &str, code: &str) -> String {
    format!("{system}|{code}")
}

/// Whether a category's system is one whose codes may stand in the clear: those that HL7 defines for sorting records into
/// kinds, and LOINC, whose codes there name kinds of documents. Everything else could be a diagnosis.
pub(super) fn clear_category_system(system: &str) -> bool {
    system == "http://loinc.org"
        || ["http://terminology.hl7.org/CodeSystem/", "http://hl7.org/fhir/"]
            .iter()
            .any(|base| system.strip_prefix(base).is_some_and(|rest| rest.len() <= 80 && plain(rest)))
}

/// Whether a code is short and has nothing but letters, digits, `-`, `.` and `_`: no sentence hides in a clear column.
pub(super) fn clear_code(code: &str) -> bool {
    (1..=40).contains(&code.len()) && plain(code)
}

fn plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/'))
}
