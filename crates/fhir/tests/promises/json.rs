//! Hostile and honest JSON.

use carekeep_fhir::json::{Json, JsonProblem, Limits};
use proptest::prelude::*;

use super::{doc, text};

fn refusal(input: &[u8]) -> JsonProblem {
    refused(input, &Limits::default())
}

fn refused(input: &[u8], limits: &Limits) -> JsonProblem {
    Json::parse(input, limits)
        .err()
        .unwrap_or_else(|| panic!("accepted: {}", String::from_utf8_lossy(input)))
        .problem
}

#[test]
fn bar_f9_hostile_bodies_are_refused_by_name_and_their_harmless_neighbours_are_not() {
    use JsonProblem::*;
    let corpus: &[(&[u8], JsonProblem, &[u8])] = &[
        (b"\"\xff\"", NotUtf8, b"\"\xc3\xbf\""),
        (b"\"\xc0\x80\"", NotUtf8, b"\"x\""),
        (b"\"\xed\xa0\x80\"", NotUtf8, b"\"\xf0\x9f\x98\x80\""),
        (b"\xef\xbb\xbf{}", ByteOrderMark, b"{}"),
        (b"{\"a\":1,\"a\":2}", DuplicateKey, b"{\"a\":1,\"b\":2}"),
        (b"{\"a\":1,\"\\u0061\":2}", DuplicateKey, b"{\"a\":1,\"\\u0062\":2}"),
        (b"{\"x\":{\"a\":1,\"a\":1}}", DuplicateKey, b"{\"x\":{\"a\":1},\"a\":1}"),
        (b"{} {}", TrailingBytes, b"{} \n"),
        (b"{}\0", TrailingBytes, b"{}\t"),
        (b"\"\\ud800\"", LoneSurrogate, b"\"\\ud83d\\ude00\""),
        (b"\"\\ud800\\u0041\"", LoneSurrogate, b"\"\\u0041\""),
        (b"\"\\ude00\\ud83d\"", LoneSurrogate, b"\"\\ud83d\\ude00\""),
        (b"\"\\u0000\"", ControlCharacter, b"\"\\u0009\""),
        (b"\"\\b\"", ControlCharacter, b"\"\\n\""),
        (b"\"a\nb\"", ControlCharacter, b"\"a\\nb\""),
        (b"\"a\0b\"", ControlCharacter, b"\"ab\""),
        (b"", Truncated, b"0"),
        (b"{\"a\":", Truncated, b"{\"a\":1}"),
        (b"[1,2", Truncated, b"[1,2]"),
        (b"\"abc", Truncated, b"\"abc\""),
        (b"tru", Truncated, b"true"),
        (b"\"\\u12", Truncated, b"\"\\u1234\""),
        (b"[1,]", Syntax, b"[1]"),
        (b"{\"a\":1,}", Syntax, b"{\"a\":1}"),
        (b"{a:1}", Syntax, b"{\"a\":1}"),
        (b"'a'", Syntax, b"\"a\""),
        (b"NaN", Syntax, b"0"),
        (b"-", Truncated, b"-1"),
        (b"01", TrailingBytes, b"10"),
        (b"+1", Syntax, b"1"),
        (b".5", Syntax, b"0.5"),
        (b"1.", Truncated, b"1.0"),
        (b"1e", Truncated, b"1e5"),
        (b"\"\\x\"", Syntax, b"\"\\\\x\""),
        (b"// x\n{}", Syntax, b"{}"),
        (b"[1 2]", Syntax, b"[1,2]"),
        (b"True", Syntax, b"true"),
        (b"\xc2\xa01", Syntax, b" 1"),
    ];
    for (bad, problem, good) in corpus {
        assert_eq!(refusal(bad), *problem, "{}", String::from_utf8_lossy(bad));
        assert!(Json::parse(good, &Limits::default()).is_ok(), "{}", String::from_utf8_lossy(good));
    }
}

#[test]
fn bar_f9_depth_keys_items_and_bytes_have_limits_and_the_limit_itself_is_allowed() {
    let nest = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
    assert!(Json::parse(&nest(64), &Limits::default()).is_ok());
    assert_eq!(refusal(&nest(65)), JsonProblem::TooDeep(64));
    assert_eq!(refusal("[".repeat(900_000).as_bytes()), JsonProblem::TooDeep(64));
    let deep = Limits { depth: 1_000_000, ..Limits::default() };
    assert_eq!(refused(&nest(129), &deep), JsonProblem::TooDeep(128));

    let keys = |count: usize| {
        let members: Vec<_> = (0..count).map(|at| format!("\"{at}\":0")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    };
    assert!(Json::parse(&keys(10_000), &Limits::default()).is_ok());
    assert_eq!(refusal(&keys(10_001)), JsonProblem::TooManyKeys(10_000));
    let spread = format!("[{}{{\"a\":0}}]", "{\"a\":0},".repeat(10_000));
    assert_eq!(refusal(spread.as_bytes()), JsonProblem::TooManyKeys(10_000));

    let items = |count: usize| format!("[{}0]", "0,".repeat(count - 1)).into_bytes();
    assert!(Json::parse(&items(50_000), &Limits::default()).is_ok());
    assert_eq!(refusal(&items(50_001)), JsonProblem::TooManyItems(50_000));

    let long = format!("\"{}\"", "x".repeat((1 << 20) - 2)).into_bytes();
    assert!(Json::parse(&long, &Limits::default()).is_ok());
    assert_eq!(refusal(&[long, b" ".to_vec()].concat()), JsonProblem::TooLong(1 << 20));
    assert!(Json::parse("1".repeat(128).as_bytes(), &Limits::default()).is_ok());
    assert_eq!(refusal("1".repeat(129).as_bytes()), JsonProblem::LongNumber);
}

#[test]
fn a_key_is_found_twice_at_every_distance_in_objects_of_every_size() {
    for size in [2, 5, 12, 13, 14, 40] {
        for (first, second) in [(0, 1), (0, size - 1), (size / 2 - 1, size - 1), (size - 2, size - 1)] {
            let key = |at: usize| if at == second { first } else { at };
            let members: Vec<_> = (0..size).map(|at| format!("\"k{}\":0", key(at))).collect();
            let twice = format!("{{{}}}", members.join(","));
            assert_eq!(refusal(twice.as_bytes()), JsonProblem::DuplicateKey, "{twice}");
            let once: Vec<_> = (0..size).map(|at| format!("\"k{at}\":0")).collect();
            assert!(Json::parse(format!("{{{}}}", once.join(",")).as_bytes(), &Limits::default()).is_ok());
        }
    }
}

#[test]
fn an_error_says_where_and_what_to_do_and_never_what_was_there() {
    let error =
        Json::parse(b"{\"name\":\n  \"Canary\" \"Smith\"}", &Limits::default()).err().expect("refused");
    assert_eq!((error.line, error.column, error.offset), (2, 12, 20));
    let message = error.to_string();
    assert!(message.contains("line 2, column 12") && message.contains("send"), "{message}");
    assert!(
        !message.contains("Canary") && !message.contains("Smith") && !format!("{error:?}").contains("Smith")
    );
}

#[test]
fn digits_order_and_text_come_out_as_they_went_in() {
    let kept = r#"{"z":1.0,"a":1.00,"m":[-0,0.10e+05,1E400,123456789012345678901234567890.50],"text":"a\"\\\n\t\r😀é/","e":{},"l":[],"n":null,"b":[true,false]}"#;
    assert_eq!(text(&doc(kept)), kept);
    assert!(doc("1.0") != doc("1.00"));
    assert_eq!(text(&doc(" { \"a\" : [ 1 , \"\\u0041\\/\" ] } ")), r#"{"a":[1,"A/"]}"#);
}

#[test]
fn key_order_matters_for_equality_and_not_for_sameness() {
    let (a, b) = (doc(r#"{"a":1,"b":{"c":[1,2]}}"#), doc(r#"{"b":{"c":[1,2]},"a":1}"#));
    assert!(a != b && a.same(&b) && b.same(&a) && a == a.duplicate());
    for other in [
        r#"{"a":1,"b":{"c":[2,1]}}"#,
        r#"{"a":1}"#,
        r#"{"a":1.0,"b":{"c":[1,2]}}"#,
        r#"{"a":1,"b":{"c":[1,2]},"d":0}"#,
    ] {
        assert!(!a.same(&doc(other)) && !doc(other).same(&a), "{other}");
    }
}

/// What serde_json takes and this reader does not, by design.
fn stricter(problem: JsonProblem) -> bool {
    matches!(
        problem,
        JsonProblem::DuplicateKey
            | JsonProblem::ControlCharacter
            | JsonProblem::LongNumber
            | JsonProblem::TooDeep(_)
    )
}

fn agrees_with_serde(input: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<serde_json::Value>(input);
    match (Json::parse(input, &Limits::default()), theirs) {
        (Ok(ours), Ok(theirs)) => {
            let again: serde_json::Value =
                serde_json::from_slice(&ours.to_vec()).expect("what is written is JSON");
            prop_assert_eq!(again, theirs);
        }
        (Ok(_), Err(error)) => {
            // serde_json has no numbers beyond a double; FHIR's decimals are text here.
            prop_assert!(
                error.to_string().contains("number out of range"),
                "only serde_json refused: {}",
                error
            );
        }
        (Err(error), Ok(_)) => prop_assert!(stricter(error.problem), "only we refused: {}", error),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_judged_as_serde_json_judges_them(input in proptest::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde(&input)?;
    }

    #[test]
    fn anything_that_looks_like_json_is_judged_as_serde_json_judges_it(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"a\"", "\"b\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "1", "-0.5e3",
            "01", "1.", "true", "nul", "null", " ", "\n", "\"", "\\", "é", "1e999",
        ]), 0..24)
    ) {
        agrees_with_serde(parts.concat().as_bytes())?;
    }

    #[test]
    fn a_document_of_any_shape_survives_writing_and_reading(input in shape()) {
        let document = doc(&input);
        prop_assert_eq!(text(&document), input);
    }
}

/// Compact JSON as the writer writes it.
fn shape() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,3})?",
        "[a-zA-Z0-9 äß😀|/]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..6).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}
