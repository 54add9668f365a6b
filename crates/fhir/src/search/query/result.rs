//! Parameters about the answer: how much, in which order, in which shape.

use super::{Builder, Parsed, bad};
use crate::search::{Handling, SearchError, SearchPlan, Sort, SortKey, params};

impl Builder {
    /// Parameters about the answer and not about what is found. `false` if it is none of them.
    pub(super) fn result_parameter(&mut self, name: &str, value: &str) -> Parsed<bool> {
        const SHAPES: &[&str] = &[
            "_summary",
            "_elements",
            "_include",
            "_revinclude",
            "_contained",
            "_containedType",
            "_score",
            "_filter",
            "_text",
            "_content",
            "_list",
            "_query",
            "_tag",
            "_profile",
            "_security",
            "_source",
        ];
        match name {
            "_count" => self.count(value)?,
            "_sort" => {
                if !self.sort(value)? {
                    return Ok(true);
                }
            }
            "_total" => {
                // A count over what the caller may not all see would tell of the rest, and one by deciding each is a read of all.
                if value != "none" {
                    return Err(bad(
                        "_total",
                        "none: matches are not counted; follow the next links instead",
                    ));
                }
            }
            "_cursor" => {
                if value.is_empty() || value.len() > 1024 {
                    return Err(bad("_cursor", "what the link to the next page holds, unchanged"));
                }
                self.plan.cursor = Some(value.to_owned());
                return Ok(true);
            }
            "_format" => {
                if !matches!(value, "json" | "application/json" | "application/fhir+json" | "text/json") {
                    return Err(bad("_format", "json"));
                }
            }
            "_pretty" => {}
            _ => {
                let plain = name.split(':').next().unwrap_or(name);
                let Some(shape) = SHAPES.iter().copied().find(|shape| *shape == plain) else {
                    return Ok(false);
                };
                let asks_nothing = shape == "_summary" && value == "false";
                if asks_nothing || self.handling == Handling::Lenient {
                    return Ok(true);
                }
                return Err(SearchError::ResultParameter(shape));
            }
        }
        self.plan.used.push((name.to_owned(), value.to_owned()));
        Ok(true)
    }

    fn count(&mut self, value: &str) -> Parsed {
        let digits = !value.is_empty() && value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit());
        let count: u32 =
            value.parse().ok().filter(|_| digits).ok_or(bad("_count", "a number from 0 to 200"))?;
        self.plan.count = u16::try_from(count).unwrap_or(u16::MAX).min(SearchPlan::MAX_COUNT);
        Ok(())
    }

    /// `false` if the order is not supported and may be left out.
    fn sort(&mut self, value: &str) -> Parsed<bool> {
        let (descending, name) = value.strip_prefix('-').map_or((false, value), |name| (true, name));
        let param = params::event_param(self.plan.kind);
        let event = param.map(|param| param.name);
        let key = match name {
            "_lastUpdated" => SortKey::LastUpdated,
            // `date` is what the brief of the API calls the event of every type; the R4 name works as well.
            _ if event.is_some() && (Some(name) == event || name == "date") => SortKey::Event,
            _ if self.handling == Handling::Lenient => return Ok(false),
            _ => return Err(SearchError::Sort),
        };
        if let (SortKey::Event, Some(param)) = (key, param) {
            self.asks(param);
        }
        self.plan.sort = Sort { key, descending };
        Ok(true)
    }
}
