//! Colours of a brand, which people have to be able to read.

use std::{fmt, str::FromStr};

/// A colour that stands out and can be read on every page: sRGB, written `#rrggbb`.
///
/// Invariant: its contrast to [`Accent::GROUND`], the darkest background of the pages, is at least [`Accent::CONTRAST`], and so
/// it is to white, in both directions: as text on a page, and as the background of white text (WCAG 2.2, 1.4.3, 1.4.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accent([u8; 3]);

/// Why a colour cannot be a brand's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccentError {
    /// It is not written as `#` and six hexadecimal digits.
    Form,
    /// Text of this colour could not be read.
    Contrast,
}

impl AccentError {
    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Form => "write a colour as # and six hexadecimal digits, such as #0b5c7a",
            Self::Contrast => {
                "take a darker one: text of this colour cannot be read on the pages (contrast below 4.5 to 1)"
            }
        }
    }
}

impl fmt::Display for AccentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.advice())
    }
}

impl std::error::Error for AccentError {}

impl Accent {
    /// The ground of the pages, behind text and around what they say.
    pub const GROUND: [u8; 3] = [0xee, 0xf3, 0xf6];
    /// The smallest contrast of text (WCAG 2.2, 1.4.3, level AA).
    pub const CONTRAST: f64 = 4.5;
}

impl FromStr for Accent {
    type Err = AccentError;

    fn from_str(text: &str) -> Result<Self, AccentError> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(AccentError::Form)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(AccentError::Form);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| AccentError::Form)?;
        let [_, red, green, blue] = number.to_be_bytes();
        let colour = [red, green, blue];
        if contrast(colour, Self::GROUND) < Self::CONTRAST {
            return Err(AccentError::Contrast);
        }
        Ok(Self(colour))
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// How light a colour is, 0 to 1 (WCAG 2.2, "relative luminance").
fn luminance([red, green, blue]: [u8; 3]) -> f64 {
    let linear = |channel: u8| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.0722f64.mul_add(linear(blue), 0.7152f64.mul_add(linear(green), 0.2126 * linear(red)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_what_the_guidelines_say() {
        let near = |one: f64, other: f64| (one - other).abs() < 0.01;
        assert!(near(contrast([0; 3], [255; 3]), 21.0));
        assert!(near(contrast([255; 3], [255; 3]), 1.0));
        // The lightest grey that may be text on white.
        assert!(near(contrast([0x76; 3], [255; 3]), 4.54));
        assert!(contrast([0x77; 3], [255; 3]) < Accent::CONTRAST);
    }

    #[test]
    fn a_colour_that_can_be_read_is_taken_as_it_is_written() {
        for colour in ["#0b5c7a", "#7a1f4b", "#000000"] {
            assert_eq!(colour.parse::<Accent>().unwrap().to_string(), colour);
        }
        assert_eq!("#0B5C7A".parse::<Accent>().unwrap().to_string(), "#0b5c7a");
    }

    #[test]
    fn what_is_no_colour_or_too_light_is_refused() {
        for text in
            ["", "#", "0b5c7a", "#0b5c7", "#0b5c7a0", "#0b5c7g", "#+b5c7a", "red", "#0b5c7a;}", "#ééé"]
        {
            assert_eq!(text.parse::<Accent>(), Err(AccentError::Form), "{text}");
        }
        for text in ["#ffffff", "#767676", "#ffcc00", "#1e90ff"] {
            assert_eq!(text.parse::<Accent>(), Err(AccentError::Contrast), "{text}");
        }
    }
}
