//! The values inside a query: escapes, tokens, contact points, links.

use carekeep_kernel::{
    ResourceId,
    index::{IndexValue, ParamId, Scope},
};

use crate::{
    search::{
        CategoryMatch, SearchError, extract, normal,
        params::{self, TelecomKind},
    },
    types::ResourceType,
};

/// Splits at a separator that no backslash escapes (R4, search, "Escaping"). The escapes stay.
pub(super) fn split(text: &str, separator: char) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut escaped = false;
    for letter in text.chars() {
        if letter == separator && !escaped {
            out.push(String::new());
            continue;
        }
        escaped = letter == '\\' && !escaped;
        if let Some(last) = out.last_mut() {
            last.push(letter);
        }
    }
    out
}

/// Takes the escapes out: `\,` `\|` `\$` `\\`.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek().copied()) {
            ('\\', Some(next @ (',' | '|' | '$' | '\\'))) => {
                out.push(next);
                letters.next();
            }
            _ => out.push(letter),
        }
    }
    out
}

/// One alternative of a token parameter.
pub(super) enum Token {
    /// `code`.
    Any(String),
    /// `|code`.
    Bare(String),
    /// `system|code`.
    Full(String, String),
}

impl Token {
    pub(super) fn value(&self, param: ParamId, scope: Scope) -> IndexValue {
        let text = match self {
            Self::Any(code) => normal::any_code(code),
            Self::Bare(code) => normal::bare_code(code),
            Self::Full(system, code) => normal::system_code(system, code),
        };
        IndexValue { param, scope, text }
    }

    /// Whether a category that fits this token stands in the clear.
    pub(super) fn may_be_clear(&self) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Bare(_) => false,
            Self::Full(system, code) => normal::clear_category_system(system) && normal::clear_code(code),
        }
    }

    pub(super) fn category(&self) -> CategoryMatch {
        match self {
            Self::Any(code) | Self::Bare(code) => CategoryMatch::Code(code.clone()),
            Self::Full(system, code) => CategoryMatch::Exact(normal::category(system, code)),
        }
    }
}

pub(super) fn tokens(parameter: &'static str, raw: &[String]) -> Result<Vec<Token>, SearchError> {
    raw.iter().map(|raw| token(parameter, raw)).collect()
}

fn token(parameter: &'static str, raw: &str) -> Result<Token, SearchError> {
    let parts = split(raw, '|');
    // Only the first bar separates: the values of some identifier systems hold bars that nobody escapes.
    let rest = parts.get(1..).unwrap_or(&[]).join("|");
    let first = parts.first().map(|first| unescape(first)).unwrap_or_default();
    let code = unescape(&rest);
    match (parts.len() > 1, first.is_empty(), code.is_empty()) {
        (false, false, _) => Ok(Token::Any(first)),
        (true, true, false) => Ok(Token::Bare(code)),
        (true, false, false) => Ok(Token::Full(first, code)),
        (true, false, true) => {
            Err(SearchError::TooCostly("a system without a code finds too much; add the code"))
        }
        _ => Err(SearchError::NoValue(parameter)),
    }
}

/// The status codes asked for; another code system finds nothing.
pub(super) fn statuses(texts: &[String], system: &str) -> Vec<String> {
    let code = |text: &String| match text.rsplit_once('|') {
        None => Some(text.clone()),
        Some((theirs, code)) => (theirs == system).then(|| code.to_owned()),
    };
    texts.iter().filter_map(code).collect()
}

/// The tokens that find a contact point; its system may be named as in `phone|+49 30 1234`.
pub(super) fn contacts(
    parameter: &'static str,
    kind: TelecomKind,
    raw: &str,
    out: &mut Vec<IndexValue>,
) -> Result<(), SearchError> {
    let (system, text) = match token(parameter, raw)? {
        Token::Any(text) => (None, text),
        Token::Bare(text) => (Some(String::from("other")), text),
        Token::Full(system, text) => (Some(system), text),
    };
    let wanted = |ours: TelecomKind, systems: &[&str]| {
        (kind == ours || kind == TelecomKind::Any)
            && system.as_deref().is_none_or(|system| systems.contains(&system))
    };
    let mut add = |param, text| out.push(IndexValue { param, scope: Scope::Tenant, text });
    if let Some(number) =
        normal::phone(&text).filter(|_| wanted(TelecomKind::Phone, &["phone", "fax", "sms", "pager"]))
    {
        add(params::PHONE, number);
    }
    if wanted(TelecomKind::Email, &["email"]) {
        add(params::EMAIL, normal::email(&text));
    }
    if wanted(TelecomKind::Any, &["url", "other"]) {
        add(params::TELECOM, normal::other_contact(&text));
    }
    Ok(())
}

/// The id in `id`, `Type/id` or an address that ends so.
pub(super) fn link_id(text: &str, kind: ResourceType) -> Option<ResourceId> {
    if !text.contains('/') {
        return text.parse().ok();
    }
    extract::local_tail(text, &[kind]).and_then(|(_, id)| id.parse().ok())
}
