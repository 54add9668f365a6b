//! A list that is read page by page.

use std::str::FromStr;

use serde::Deserialize;

use crate::problem::{Problem, catalogue};

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) after: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<u32>,
}

/// As many as there are in a page of which nobody said how long it is to be.
const USUAL: u32 = 50;
/// The most in one page.
const MOST: u32 = 200;

impl Page {
    /// After which one, and how many.
    pub(super) fn read<T: FromStr>(self) -> Result<(Option<T>, u32), Problem> {
        self.or(USUAL)
    }

    /// As [`Page::read`], for a list whose pages are usually longer or shorter.
    pub(super) fn or<T: FromStr>(self, usual: u32) -> Result<(Option<T>, u32), Problem> {
        let after = self.after.map(|id| id.parse::<T>()).transpose();
        let after = after.map_err(|_| catalogue::MALFORMED_QUERY)?;
        Ok((after, self.limit.unwrap_or(usual).clamp(1, MOST)))
    }
}

/// Where the next page starts, if this one is full.
pub(super) fn next<T>(page: &[T], limit: u32, id: impl Fn(&T) -> String) -> Option<String> {
    let full = u32::try_from(page.len()).is_ok_and(|count| count == limit);
    page.last().filter(|_| full).map(id)
}
