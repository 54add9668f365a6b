//! Which passwords are allowed (NIST SP 800-63B-4 section 3.1.1.2).
//!
//! Long enough, not too long to hash, not one that an attacker tries first; no rule about kinds of characters and no
//! expiry, which the standard forbids. The list of common passwords and the judgement of repeats, sequences and keyboard
//! walks are those of the crate `zxcvbn` (30,000 passwords and 60,000 words and names, 0.8 MB in the binary, a few MB
//! in memory once it was used). It refuses what 1,000,000 guesses would find, where the daily cap of [`crate::softlock`]
//! allows 100.

use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};
use zxcvbn::Score;

/// The longest password in Unicode code points. The standard asks for at least 64.
pub const LONGEST: usize = 256;
/// The longest input in bytes that is looked at: normalisation must not be a way to make the server work.
const LONGEST_INPUT: usize = 4 * LONGEST;

/// What else protects the account; the shortest password depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordUse {
    /// Nothing: at least 15 characters.
    Alone,
    /// A second factor is always asked for as well: at least 8 characters.
    WithSecondFactor,
}

impl PasswordUse {
    /// The shortest password in Unicode code points.
    #[must_use]
    pub const fn shortest(self) -> usize {
        match self {
            Self::Alone => 15,
            Self::WithSecondFactor => 8,
        }
    }
}

/// A password that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too few characters.
    #[error("the password is too short: use at least {0} characters, for example a few words")]
    TooShort(usize),
    /// Too many characters.
    #[error("the password is too long: use at most {LONGEST} characters")]
    TooLong,
    /// A character that cannot be typed reliably.
    #[error("the password contains a control character: use characters that can be typed")]
    Control,
    /// Common, or easily guessed from the name of the person or of the organisation.
    #[error(
        "the password is too easily guessed: choose one that is not common, not a sequence and not a name"
    )]
    Common,
}

/// A password as it was typed, normalised to NFKC so that all keyboards and systems give the same bytes (section
/// 3.1.1.2). Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PlainPassword(String);

impl PlainPassword {
    /// Takes what was typed, for signing in.
    ///
    /// # Errors
    /// When it can be nobody's password: far too long, or with control characters.
    pub fn typed(input: &str) -> Result<Self, PolicyError> {
        if input.len() > LONGEST_INPUT {
            return Err(PolicyError::TooLong);
        }
        if input.chars().any(char::is_control) {
            return Err(PolicyError::Control);
        }
        // The reserve keeps the growing string from leaving copies behind.
        let mut text = String::with_capacity(3 * LONGEST_INPUT);
        text.extend(input.nfkc());
        let password = Self(text);
        if password.0.chars().count() > LONGEST { Err(PolicyError::TooLong) } else { Ok(password) }
    }

    /// Takes a new password. `context` are words that an attacker tries for this person: login name, name, brand.
    ///
    /// Costs up to a few milliseconds of computing: call it where it may block, for a person who is signed in.
    ///
    /// # Errors
    /// When the policy does not allow it.
    pub fn chosen(input: &str, usage: PasswordUse, context: &[&str]) -> Result<Self, PolicyError> {
        let password = Self::typed(input)?;
        if password.0.chars().count() < usage.shortest() {
            return Err(PolicyError::TooShort(usage.shortest()));
        }
        let lower = Zeroizing::new(password.0.to_lowercase());
        let words: Vec<String> = context.iter().flat_map(|text| words(text)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if zxcvbn::zxcvbn(&lower, &words).score() < Score::Two {
            return Err(PolicyError::Common);
        }
        Ok(password)
    }

    /// The bytes to hash.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A context text, and its parts.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let parts = lower.split(|c: char| !c.is_alphanumeric()).filter(|part| part.chars().count() > 2);
    let mut words: Vec<String> = parts.map(str::to_owned).collect();
    words.push(lower);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(input: &str, usage: PasswordUse) -> Result<(), PolicyError> {
        let context = ["Dr. Ada Okonkwo", "ada.okonkwo@bright.example", "Bright Clinic"];
        PlainPassword::chosen(input, usage, &context).map(|_| ())
    }

    #[test]
    fn i5_fifteen_characters_alone_and_eight_with_a_second_factor() {
        let good = "tulip ovenmitt gr";
        assert_eq!(judge(&good[..15], PasswordUse::Alone), Ok(()));
        assert_eq!(judge(&good[..14], PasswordUse::Alone), Err(PolicyError::TooShort(15)));
        assert_eq!(judge("vqomzt8r", PasswordUse::WithSecondFactor), Ok(()));
        assert_eq!(judge("vqomzt8", PasswordUse::WithSecondFactor), Err(PolicyError::TooShort(8)));
    }

    #[test]
    fn i5_length_is_counted_in_characters_up_to_256() {
        let long: String = ('ぁ'..='ん').cycle().take(256).collect();
        assert_eq!(judge(&long, PasswordUse::Alone), Ok(()));
        assert_eq!(judge(&format!("{long}あ"), PasswordUse::Alone), Err(PolicyError::TooLong));
        // One character that normalisation turns into eighteen.
        assert_eq!(judge(&"\u{fdfa}".repeat(15), PasswordUse::Alone), Err(PolicyError::TooLong));
        assert_eq!(judge(&"a".repeat(10_000_000), PasswordUse::Alone), Err(PolicyError::TooLong));
    }

    #[test]
    fn i5_no_composition_rule_refuses_words_spaces_or_one_kind_of_character() {
        for good in [
            "pelican tangerine ledger",
            "kumquatbassoonfjord",
            "Übergrößenträger Zaunkönig",
            "🦔🎷🌵🧭🪁🦑🧊🎲🪵🥝🦚🛶🪴🧄🦭",
        ] {
            assert_eq!(judge(good, PasswordUse::Alone), Ok(()), "{good}");
        }
    }

    #[test]
    fn i5_common_passwords_and_names_are_refused() {
        for bad in [
            "password",
            "12345678",
            "iloveyou",
            "qwertyuiop",
            "Password1",
            "PASSWORD",
            "p@ssw0rd",
            "football1",
            "abcdefgh",
            "aaaaaaaaaaaaaaaaaaaa",
            "123456789012345678",
            "qwertyuiopasdfghjkl",
            "passwordpassword",
            "okonkwo1",
            "brightclinic",
            "ada.okonkwo@bright.example",
        ] {
            assert_eq!(judge(bad, PasswordUse::WithSecondFactor), Err(PolicyError::Common), "{bad}");
        }
    }

    #[test]
    fn i5_two_ways_to_type_a_character_are_one_password() {
        let composed = PlainPassword::typed("Zaunkönig").unwrap();
        for other in ["Zaunko\u{308}nig", "Ｚaunkönig"] {
            assert_eq!(PlainPassword::typed(other).unwrap().as_bytes(), composed.as_bytes());
        }
        assert_ne!(PlainPassword::typed("zaunkönig").unwrap().as_bytes(), composed.as_bytes());
    }

    #[test]
    fn control_characters_are_refused() {
        assert_eq!(judge("pelican tangerine\u{0}ledger", PasswordUse::Alone), Err(PolicyError::Control));
        assert_eq!(judge("pelican\ttangerine ledger", PasswordUse::Alone), Err(PolicyError::Control));
    }
}
