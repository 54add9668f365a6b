//! Queries: from names and values to a [`SearchPlan`].

mod result;
mod values;

use carekeep_kernel::{
    ResourceId,
    index::{IndexValue, ParamId, Scope},
};
use time::Date;

use super::{
    ClearFilter, Handling, Prefix, SearchError, SearchPlan, Sort, SortKey, dates, normal,
    params::{self, Lookup, Param, TelecomKind},
    shown::shown_by,
};
use crate::{project::Projection, types::ResourceType};

/// The most parameters of one query.
const MOST_PARAMETERS: usize = 32;
/// The most alternatives of one parameter, or of a group of terms.
const MOST_ALTERNATIVES: usize = 128;

/// Reads a query, already percent-decoded, in the order it came.
///
/// # Errors
/// [`SearchError`]: the first parameter that is refused. A modifier that is not supported is refused even under
/// [`Handling::Lenient`], as R4 asks.
pub fn parse_query(
    kind: ResourceType,
    query: &[(String, String)],
    handling: Handling,
) -> Result<SearchPlan, SearchError> {
    if query.len() > MOST_PARAMETERS {
        return Err(SearchError::TooCostly("give at most 32 parameters"));
    }
    let mut builder = Builder { plan: empty_plan(kind), handling, birth: None };
    for (name, value) in query {
        builder.parameter(name, value)?;
    }
    builder.finish()
}

fn empty_plan(kind: ResourceType) -> SearchPlan {
    SearchPlan {
        kind,
        ids: None,
        patient: None,
        clear: Vec::new(),
        terms: Vec::new(),
        sort: Sort { key: SortKey::LastUpdated, descending: true },
        count: SearchPlan::DEFAULT_COUNT,
        cursor: None,
        shown_by: Projection::ALL.to_vec(),
        used: Vec::new(),
    }
}

type Parsed<T = ()> = Result<T, SearchError>;

struct Builder {
    plan: SearchPlan,
    handling: Handling,
    /// The birth dates asked for by comparisons: from this day, to before that day.
    birth: Option<(Option<Date>, Option<Date>)>,
}

impl Builder {
    fn parameter(&mut self, name: &str, value: &str) -> Parsed {
        if value.chars().any(char::is_control) {
            return Err(SearchError::Value {
                parameter: "a parameter",
                expected: "text without control characters",
            });
        }
        if self.result_parameter(name, value)? {
            return Ok(());
        }
        let (bare, modifier) = match name.split_once(':') {
            Some((bare, modifier)) => (bare, Some(modifier)),
            None => (name, None),
        };
        if let Some(param) = params::find(self.plan.kind, bare) {
            if value.is_empty() {
                return Err(SearchError::NoValue(param.name));
            }
            self.search_parameter(param, modifier, value)?;
            self.plan.used.push((name.to_owned(), value.to_owned()));
            return Ok(());
        }
        if self.handling == Handling::Lenient {
            return Ok(());
        }
        if let Some(low) = params::LOW_CARDINALITY.iter().copied().find(|low| *low == bare) {
            return Err(SearchError::LowCardinality(low));
        }
        if name.contains('.') || name.starts_with("_has") {
            return Err(SearchError::Chained);
        }
        Err(SearchError::UnknownParameter(printable(name)))
    }

    /// Notes that the answer depends on what the parameter looks at.
    fn asks(&mut self, param: &Param) {
        let shown = shown_by(self.plan.kind, param);
        self.plan.shown_by.retain(|projection| shown.contains(projection));
    }

    fn search_parameter(&mut self, param: &'static Param, modifier: Option<&str>, value: &str) -> Parsed {
        self.asks(param);
        let exact = match (modifier, param.lookup) {
            (None, _) => false,
            (Some("exact"), Lookup::Name(_)) => true,
            (Some("Patient"), Lookup::Chart) => false,
            (Some(kind), Lookup::Link(_, targets))
                if targets.iter().any(|target| target.as_str() == kind) =>
            {
                return self.links(param, value, Some(kind));
            }
            (Some(name), Lookup::Chart | Lookup::Link(..)) if name.contains('.') => {
                return Err(SearchError::Chained);
            }
            _ => return Err(SearchError::Modifier(param.name)),
        };
        match param.lookup {
            Lookup::Id => narrow(&mut self.plan.ids, &alternatives(param, value)?, |text| text.parse().ok()),
            Lookup::Chart => narrow(&mut self.plan.patient, &alternatives(param, value)?, patient_id),
            Lookup::Status(system) => {
                let filter = values::statuses(&alternatives(param, value)?, system);
                self.plan.clear.push(ClearFilter::Status(filter));
            }
            Lookup::Category => self.categories(param, value)?,
            Lookup::Event | Lookup::LastUpdated => self.dates(param, value)?,
            Lookup::Code(id, scope) => self.tokens(param, id, scope, value)?,
            Lookup::Identifier(id) => self.tokens(param, id, Scope::Tenant, value)?,
            Lookup::Name(id) => self.names(param, id, value, exact)?,
            Lookup::Telecom(kind) => self.telecom(param, kind, value)?,
            Lookup::Birthdate => self.birthdates(param, value)?,
            Lookup::Link(..) => self.links(param, value, None)?,
        }
        Ok(())
    }

    fn dates(&mut self, param: &'static Param, value: &str) -> Parsed {
        let read = |text: &String| {
            dates::date_match(text)
                .ok_or(bad(param.name, "a date such as ge2026-01-31, with prefix eq ne lt gt le ge sa eb"))
        };
        let any = alternatives(param, value)?.iter().map(read).collect::<Parsed<Vec<_>>>()?;
        let last_updated = param.lookup == Lookup::LastUpdated;
        self.plan.clear.push(if last_updated {
            ClearFilter::LastUpdated(any)
        } else {
            ClearFilter::Event(any)
        });
        Ok(())
    }

    /// Categories whose system may stand in the clear are looked up there; others by token. A code without a system is looked
    /// up in the clear.
    fn categories(&mut self, param: &'static Param, value: &str) -> Parsed {
        let tokens = values::tokens(param.name, &raw_alternatives(param, value)?)?;
        let (clear, sealed): (Vec<_>, Vec<_>) = tokens.into_iter().partition(values::Token::may_be_clear);
        match (clear.is_empty(), sealed.is_empty()) {
            (_, true) => {
                let any = clear.iter().map(values::Token::category).collect();
                self.plan.clear.push(ClearFilter::Category(any));
            }
            (true, false) => {
                let any =
                    sealed.iter().map(|token| token.value(params::CATEGORY_CODE, Scope::Patient)).collect();
                self.plan.terms.push(any);
            }
            (false, false) => {
                return Err(SearchError::TooCostly(
                    "ask for HL7's own categories and for other categories in separate searches",
                ));
            }
        }
        Ok(())
    }

    fn tokens(&mut self, param: &'static Param, id: ParamId, scope: Scope, value: &str) -> Parsed {
        let tokens = values::tokens(param.name, &raw_alternatives(param, value)?)?;
        self.plan.terms.push(tokens.iter().map(|token| token.value(id, scope)).collect());
        Ok(())
    }

    fn names(&mut self, param: &'static Param, id: ParamId, value: &str, exact: bool) -> Parsed {
        let of = |text: String| IndexValue { param: id, scope: Scope::Tenant, text };
        let names = alternatives(param, value)?;
        if exact {
            self.plan.terms.push(names.iter().map(|name| of(normal::exact(name))).collect());
            return Ok(());
        }
        // Every word of one alternative must match: an OR of ANDs, turned into the plan's AND of ORs.
        let mut groups: Vec<Vec<IndexValue>> = vec![Vec::new()];
        for name in &names {
            let words = normal::words(name);
            if words.is_empty() {
                return Err(bad(param.name, "a name with at least one letter"));
            }
            if groups.len() * words.len() > 16 {
                return Err(SearchError::TooCostly("give fewer names, or fewer words in each"));
            }
            groups = groups
                .iter()
                .flat_map(|group| {
                    words.iter().map(|word| {
                        let mut longer = group.clone();
                        longer.push(of(normal::word_query(word)));
                        longer
                    })
                })
                .collect();
        }
        self.plan.terms.append(&mut groups);
        Ok(())
    }

    fn telecom(&mut self, param: &'static Param, kind: TelecomKind, value: &str) -> Parsed {
        let mut any = Vec::new();
        for raw in raw_alternatives(param, value)? {
            values::contacts(param.name, kind, &raw, &mut any)?;
        }
        self.plan.terms.push(any);
        Ok(())
    }

    fn links(&mut self, param: &'static Param, value: &str, only: Option<&str>) -> Parsed {
        let Lookup::Link(id, targets) = param.lookup else { return Ok(()) };
        let mut any = Vec::new();
        for text in alternatives(param, value)? {
            for kind in targets.iter().filter(|kind| only.is_none_or(|only| only == kind.as_str())) {
                if let Some(target) = values::link_id(&text, *kind) {
                    let text = normal::link(kind.as_str(), &target.to_string());
                    any.push(IndexValue { param: id, scope: Scope::Patient, text });
                }
            }
        }
        self.plan.terms.push(any);
        Ok(())
    }

    fn birthdates(&mut self, param: &'static Param, value: &str) -> Parsed {
        let wrong = bad(param.name, "a date such as 1980, 1980-05 or ge1980-05-02, without a time");
        let texts = alternatives(param, value)?;
        let mut dates = Vec::new();
        for text in &texts {
            let (prefix, date) = dates::prefixed(text).ok_or(wrong.clone())?;
            dates.push((prefix, date, dates::day_range(date).ok_or(wrong.clone())?));
        }
        if dates.iter().all(|(prefix, ..)| *prefix == Prefix::Eq) {
            let of = |date: &str| birth_value(date);
            self.plan.terms.push(dates.iter().map(|(_, date, _)| of(date)).collect());
            return Ok(());
        }
        let [(prefix, _, (first, after))] = dates.as_slice() else {
            return Err(SearchError::TooCostly("give birthdate comparisons one by one, not as alternatives"));
        };
        let (from, to) = match prefix {
            Prefix::Eq => (Some(*first), Some(*after)),
            Prefix::Ge => (Some(*first), None),
            Prefix::Gt | Prefix::Sa => (Some(*after), None),
            Prefix::Le => (None, Some(*after)),
            Prefix::Lt | Prefix::Eb => (None, Some(*first)),
            Prefix::Ne => {
                return Err(SearchError::TooCostly("birthdate has no ne; give the range that you want"));
            }
        };
        let (old_from, old_to) = self.birth.unwrap_or((None, None));
        let later = old_from.max(from);
        let earlier = [old_to, to].into_iter().flatten().min();
        self.birth = Some((later, earlier));
        Ok(())
    }

    fn finish(mut self) -> Parsed<SearchPlan> {
        if let Some(bounds) = self.birth {
            let (Some(from), Some(to)) = bounds else {
                return Err(SearchError::TooCostly(
                    "give birthdate a lower and an upper bound, for example ge1980 and le1989",
                ));
            };
            let dates = dates::cover(from, to).ok_or(SearchError::TooCostly(
                "the birthdate range is too wide or too ragged; use whole years or months",
            ))?;
            self.plan.terms.push(dates.iter().map(|date| birth_value(date)).collect());
        }
        Ok(self.plan)
    }
}

fn birth_value(date: &str) -> IndexValue {
    IndexValue { param: params::BIRTHDATE, scope: Scope::Tenant, text: normal::birthdate(date) }
}

const fn bad(parameter: &'static str, expected: &'static str) -> SearchError {
    SearchError::Value { parameter, expected }
}

fn patient_id(text: &str) -> Option<ResourceId> {
    values::link_id(text, ResourceType::Patient)
}

/// A parameter given twice is an AND: what is left is in both.
fn narrow(ids: &mut Option<Vec<ResourceId>>, texts: &[String], read: impl Fn(&str) -> Option<ResourceId>) {
    let mut asked: Vec<ResourceId> = texts.iter().filter_map(|text| read(text)).collect();
    asked.sort_unstable();
    asked.dedup();
    if let Some(before) = ids.as_ref() {
        asked.retain(|id| before.contains(id));
    }
    *ids = Some(asked);
}

/// The alternatives of a value, unescaped.
fn alternatives(param: &'static Param, value: &str) -> Parsed<Vec<String>> {
    Ok(raw_alternatives(param, value)?.iter().map(|raw| values::unescape(raw)).collect())
}

fn raw_alternatives(param: &'static Param, value: &str) -> Parsed<Vec<String>> {
    let all = values::split(value, ',');
    if all.len() > MOST_ALTERNATIVES {
        return Err(SearchError::TooCostly("give at most 128 alternatives"));
    }
    if all.iter().any(String::is_empty) { Err(SearchError::NoValue(param.name)) } else { Ok(all) }
}

/// A parameter's name for a message: only if it looks like one.
fn printable(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    if name.len() <= 40 && name.bytes().all(plain) { name.to_owned() } else { "(unreadable)".to_owned() }
}
