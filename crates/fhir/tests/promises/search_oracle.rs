//! The search against a second, naive reading of the same query over the same document.

use carekeep_fhir::{
    json::Json,
    search::{Facts, Handling, extract, parse_query},
    types::ResourceType,
};
use carekeep_kernel::{ResourceId, Timestamp};
use proptest::prelude::*;

use super::{ANN, BEN, doc};

const WORDS: &[&str] = &["Ann", "Anna", "An", "José", "Maximiliane-Charlotte", "Li", "X", "O'Neil"];
const CODES: &[(&str, &str)] = &[
    ("http://loinc.org", "1-1"),
    ("http://loinc.org", "1-11"),
    ("http://sct", "1-1"),
    ("", "1-1"),
    ("", "|1-1"),
];
const DATES: &[&str] = &[
    "2025",
    "2026",
    "2025-12",
    "2026-01",
    "2025-12-31",
    "2026-01-01",
    "2026-01-31",
    "2026-01-31T23:30:00-01:00",
    "2026-02-01T00:30:00Z",
];
const BIRTHS: &[&str] = &["1979", "1980", "1980-02", "1980-03", "1980-02-28", "1980-02-29", "1980-03-01"];
const PREFIXES: &[&str] = &["", "eq", "ne", "lt", "gt", "le", "ge", "sa", "eb"];
const STATUSES: &[&str] = &["final", "amended", "cancelled"];

fn pick(list: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(list)
}

/// Lower case, no accents, split into words: by a table that knows the words above and nothing else.
fn plain(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('é', "e").replace('\'', "");
    text.split(['-', ' ']).map(str::to_owned).collect()
}

fn name_fits(names: &[&str], query: &str) -> bool {
    plain(query).iter().all(|wanted| {
        names.iter().flat_map(|name| plain(name)).any(|word| {
            if wanted.len() == 1 {
                word == *wanted
            } else {
                word.starts_with(&wanted[..wanted.len().min(12)])
            }
        })
    })
}

fn code_fits(codes: &[(&str, &str)], query: &str) -> bool {
    codes.iter().any(|(system, code)| match query.split_once('|') {
        None => query.replace('\u{1}', "|") == *code,
        Some((wanted_system, wanted)) => wanted_system == *system && wanted == *code,
    })
}

/// Seconds from 2020 on, start and end, by counting days.
fn seconds(text: &str) -> (i64, i64) {
    let days = |year: i64, month: i64, day: i64| {
        let leap = |year: i64| i64::from(year % 4 == 0);
        let months = |year: i64| [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        (1960..year).map(|year| 365 + leap(year)).sum::<i64>()
            + (1..month).map(|month| months(year)[usize::try_from(month - 1).expect("a month")]).sum::<i64>()
            + day
            - 1
    };
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("digits");
    let year = number(0, 4);
    match text.len() {
        4 => (days(year, 1, 1) * 86_400, days(year + 1, 1, 1) * 86_400),
        7 => {
            let month = number(5, 7);
            let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            (days(year, month, 1) * 86_400, days(next_year, next, 1) * 86_400)
        }
        10 => {
            let start = days(year, number(5, 7), number(8, 10)) * 86_400;
            (start, start + 86_400)
        }
        _ => {
            let midnight = days(year, number(5, 7), number(8, 10)) * 86_400;
            let zone = if text.ends_with("-01:00") { 3_600 } else { 0 };
            let start = midnight + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19) + zone;
            (start, start + 1)
        }
    }
}

fn date_fits(resource: &str, prefix: &str, query: &str) -> bool {
    let ((start, end), (from, to)) = (seconds(resource), seconds(query));
    let inside = start >= from && end <= to;
    match prefix {
        "" | "eq" => inside,
        "ne" => !inside,
        "lt" => start < from,
        "gt" => end > to,
        "le" => inside || start < from,
        "ge" => inside || end > to,
        "sa" => start >= to,
        _ => end <= from,
    }
}

fn matches(kind: ResourceType, document: &Json, query: &[(String, String)]) -> bool {
    let patient: ResourceId = ANN.parse().expect("an id");
    let facts = Facts { kind, id: patient, patient: Some(patient), last_updated: Timestamp::from_micros(0) };
    let plan =
        parse_query(kind, query, Handling::Strict).unwrap_or_else(|error| panic!("{query:?}: {error}"));
    plan.matches(&facts, &extract(kind, document))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn names_are_found_exactly_when_every_word_starts_a_word(
        names in proptest::collection::vec(pick(WORDS), 0..3),
        wanted in proptest::collection::vec(proptest::collection::vec((pick(WORDS), 1..22_usize), 1..3), 1..3),
    ) {
        let given: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let list = if given.is_empty() { "[]".to_owned() } else { format!("[{{\"given\":[{}]}}]", given.join(",")) };
        let document = doc(&format!(r#"{{"resourceType":"Patient","name":{list}}}"#));
        let alternatives: Vec<String> = wanted
            .iter()
            .map(|words| words.iter().map(|(word, length)| word.chars().take(*length).collect::<String>()).collect::<Vec<_>>().join(" "))
            .collect();
        let expected = alternatives.iter().any(|query| name_fits(&names, query.trim_end_matches(['-', '\''])));
        let query = [("given".to_owned(), alternatives.join(","))];
        prop_assert_eq!(matches(ResourceType::Patient, &document, &query), expected, "{:?} in {:?}", query, names);
    }

    #[test]
    fn codes_are_found_exactly_by_system_and_code(
        codes in proptest::collection::vec(proptest::sample::select(CODES), 0..3),
        wanted in proptest::collection::vec(pick(&["http://loinc.org|1-1", "http://sct|1-1", "|1-1", "1-1", "1-11", "http://sct|1-11", "\u{5c}|1-1"]), 1..3),
    ) {
        let codings: Vec<_> = codes
            .iter()
            .map(|(system, code)| if system.is_empty() { format!(r#"{{"code":"{code}"}}"#) } else { format!(r#"{{"system":"{system}","code":"{code}"}}"#) })
            .collect();
        let document = doc(&format!(r#"{{"resourceType":"Observation","code":{{"coding":[{}]}}}}"#, codings.join(",")));
        let expected = wanted.iter().any(|query| code_fits(&codes, &query.replace("\\|", "\u{1}")));
        let query = [("code".to_owned(), wanted.join(","))];
        prop_assert_eq!(matches(ResourceType::Observation, &document, &query), expected, "{:?} in {:?}", query, codes);
    }

    #[test]
    fn dates_and_states_are_found_exactly_as_r4_says(
        date in proptest::option::of(pick(DATES)),
        status in pick(STATUSES),
        wanted in proptest::collection::vec((pick(PREFIXES), pick(DATES)), 1..3),
        states in proptest::collection::vec(pick(STATUSES), 1..3),
        chart in proptest::sample::select(vec![ANN, BEN]),
    ) {
        let effective = date.map(|date| format!(r#","effectiveDateTime":"{date}""#)).unwrap_or_default();
        let document = doc(&format!(r#"{{"resourceType":"Observation","status":"{status}"{effective}}}"#));
        let expected = chart == ANN
            && states.contains(&status)
            && date.is_some_and(|date| wanted.iter().all(|(prefix, query)| date_fits(date, prefix, query)));
        let mut query: Vec<_> = wanted.iter().map(|(prefix, date)| ("date".to_owned(), format!("{prefix}{date}"))).collect();
        query.push(("status".to_owned(), states.join(",")));
        query.push(("patient".to_owned(), format!("Patient/{chart}")));
        prop_assert_eq!(matches(ResourceType::Observation, &document, &query), expected, "{:?} for {:?}", query, date);
    }

    #[test]
    fn birth_dates_are_found_exactly_when_they_lie_inside_the_range(
        birth in pick(BIRTHS),
        from in (pick(&["ge", "gt", "sa"]), pick(BIRTHS)),
        to in (pick(&["le", "lt", "eb"]), pick(BIRTHS)),
        exact in proptest::option::of(proptest::collection::vec(pick(BIRTHS), 1..3)),
    ) {
        let document = doc(&format!(r#"{{"resourceType":"Patient","birthDate":"{birth}"}}"#));
        let (start, end) = seconds(birth);
        let low = if from.0 == "ge" { seconds(from.1).0 } else { seconds(from.1).1 };
        let high = if to.0 == "le" { seconds(to.1).1 } else { seconds(to.1).0 };
        let in_exact = exact.as_ref().is_none_or(|exact| exact.iter().any(|query| date_fits(birth, "", query)));
        let expected = start >= low && end <= high && in_exact;
        let mut query = vec![("birthdate".to_owned(), format!("{}{}", from.0, from.1)), ("birthdate".to_owned(), format!("{}{}", to.0, to.1))];
        query.extend(exact.map(|exact| ("birthdate".to_owned(), exact.join(","))));
        prop_assert_eq!(matches(ResourceType::Patient, &document, &query), expected, "{:?} for {:?}", query, birth);
    }

    #[test]
    fn no_query_makes_the_reader_fall_over(
        kind in proptest::sample::select(ResourceType::ALL),
        name in "(_id|_sort|_count|name|identifier|date|birthdate|code|category|phone|patient|encounter|x)(:[a-zA-Z.]{0,8})?",
        value in "[ -~ßé\u{0}|,\\\\$]{0,20}",
    ) {
        let query = [(name, value)];
        for handling in [Handling::Strict, Handling::Lenient] {
            if let Ok(plan) = parse_query(kind, &query, handling) {
                prop_assert!(plan.count <= 200 && plan.terms.iter().all(|group| group.len() <= 512));
            }
        }
    }
}
