//! The filter language of SCIM (RFC 7644 section 3.4.2.2): comparisons joined by `and`, `or` and parentheses. `not`, `pr`, value
//! paths and comparisons by part of a text are no part of it: nothing that is sealed could answer them.

use serde_json::Value;

use crate::problem::{Problem, catalogue};

/// Longest filter, in bytes.
const LONGEST: usize = 2_000;
/// Most comparisons in one filter.
const MOST: usize = 20;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    /// An attribute, in lower case, with a value.
    Compare(String, Operator, Value),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Text(String),
}

/// Reads a filter.
///
/// # Errors
/// 400 `invalidFilter` for what is no filter, or none of this server's.
pub(super) fn parse(text: &str) -> Result<Filter, Problem> {
    if text.len() > LONGEST {
        return Err(catalogue::SCIM_FILTER);
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), left: MOST };
    let filter = parser.any()?;
    if parser.tokens.next().is_some() { Err(catalogue::SCIM_FILTER) } else { Ok(filter) }
}

fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                1
            }
            '"' => {
                let length = quoted(rest).ok_or(catalogue::SCIM_FILTER)?;
                let text = serde_json::from_str(&rest[..length]).map_err(|_| catalogue::SCIM_FILTER)?;
                tokens.push(Token::Text(text));
                length
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()\"[]".contains(c));
                let length = end.unwrap_or(rest.len());
                if length == 0 {
                    return Err(catalogue::SCIM_FILTER);
                }
                tokens.push(Token::Word(rest[..length].to_owned()));
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// How long the JSON string is that a text begins with.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends.then_some(at + 1)
    })
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Comparisons and parentheses that may still come: the depth is bounded by it as well.
    left: usize,
}

impl Parser {
    fn any(&mut self) -> Result<Filter, Problem> {
        let mut filter = self.all()?;
        while self.word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.all()?));
        }
        Ok(filter)
    }

    fn all(&mut self) -> Result<Filter, Problem> {
        let mut filter = self.one()?;
        while self.word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, Problem> {
        self.left = self.left.checked_sub(1).ok_or(catalogue::SCIM_FILTER)?;
        match self.tokens.next() {
            Some(Token::Open) => {
                let filter = self.any()?;
                if self.tokens.next() == Some(Token::Close) {
                    Ok(filter)
                } else {
                    Err(catalogue::SCIM_FILTER)
                }
            }
            Some(Token::Word(attribute)) => {
                let operator = self.operator()?;
                Ok(Filter::Compare(plain_name(&attribute), operator, self.value()?))
            }
            _ => Err(catalogue::SCIM_FILTER),
        }
    }

    fn operator(&mut self) -> Result<Operator, Problem> {
        let Some(Token::Word(word)) = self.tokens.next() else { return Err(catalogue::SCIM_FILTER) };
        Ok(match word.to_ascii_lowercase().as_str() {
            "eq" => Operator::Equal,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            _ => return Err(catalogue::SCIM_FILTER),
        })
    }

    fn value(&mut self) -> Result<Value, Problem> {
        match self.tokens.next() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(catalogue::SCIM_FILTER),
            },
            _ => Err(catalogue::SCIM_FILTER),
        }
    }

    fn word(&mut self, wanted: &str) -> bool {
        let is = |token: &Token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.tokens.next_if(is).is_some()
    }
}

/// An attribute's name in lower case, without the schema that it may be prefixed with (RFC 7644 section 3.10).
pub(super) fn plain_name(attribute: &str) -> String {
    let name = attribute.to_ascii_lowercase();
    let schemas =
        ["urn:ietf:params:scim:schemas:core:2.0:user:", "urn:ietf:params:scim:schemas:core:2.0:group:"];
    let short = schemas.iter().find_map(|schema| name.strip_prefix(schema));
    short.map_or(name.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(attribute: &str, value: &str) -> Filter {
        Filter::Compare(attribute.to_owned(), Operator::Equal, Value::String(value.to_owned()))
    }

    #[test]
    fn the_filters_of_identity_providers_are_understood() {
        assert_eq!(parse("userName eq \"ada@acme.example\"").unwrap(), equal("username", "ada@acme.example"));
        assert_eq!(parse("  USERNAME Eq \"a\\\"b\" ").unwrap(), equal("username", "a\"b"));
        let long = "urn:ietf:params:scim:schemas:core:2.0:User:externalId eq \"7\"";
        assert_eq!(parse(long).unwrap(), equal("externalid", "7"));
        let (a, b, c) = (equal("a", "1"), equal("b", "2"), equal("c", "3"));
        let and = |one: &Filter, other: &Filter| Filter::And(Box::new(one.clone()), Box::new(other.clone()));
        let or = |one: &Filter, other: &Filter| Filter::Or(Box::new(one.clone()), Box::new(other.clone()));
        let read = |text: &str| parse(text).unwrap();
        assert_eq!(read("a eq \"1\" or b eq \"2\" and c eq \"3\""), or(&a, &and(&b, &c)));
        assert_eq!(read("(a eq \"1\" or b eq \"2\") AND c eq \"3\""), and(&or(&a, &b), &c));
        assert_eq!(read("active eq False"), Filter::Compare("active".into(), Operator::Equal, false.into()));
    }

    #[test]
    fn what_is_no_filter_of_this_server_is_refused_and_not_half_understood() {
        let deep = format!("{}a eq \"1\"{}", "(".repeat(30), ")".repeat(30));
        let wide = vec!["a eq \"1\""; 21].join(" and ");
        for bad in [
            "",
            "userName",
            "userName eq",
            "userName eq ada",
            "userName co \"a\"",
            "userName pr",
            "not (a eq \"1\")",
            "a eq \"1\" and",
            "a eq \"1\" b eq \"2\"",
            "(a eq \"1\"",
            "a eq \"1\")",
            "a eq \"1",
            "emails[type eq \"work\"]",
            "a eq 7",
            &deep,
            &wide,
        ] {
            assert_eq!(parse(bad).unwrap_err(), catalogue::SCIM_FILTER, "{bad}");
        }
        // The positive controls of the two limits.
        assert!(parse(&vec!["a eq \"1\""; 20].join(" and ")).is_ok());
        assert!(parse("(((a eq \"1\")))").is_ok());
    }
}
