//! The CapabilityStatement and the OperationOutcome.

use carekeep_fhir::{
    capability::{Oauth, Server, statement},
    json::Json,
    outcome::{Issue, IssueType, Outcome, Severity},
    search::{Handling, params, parse_query},
    types::ResourceType,
};
use carekeep_kernel::Timestamp;

use super::{ANN, text};

fn server() -> Server<'static> {
    Server {
        software: "Carekeep",
        version: "0.1.0",
        url: "https://acme.example/fhir/R4",
        date: Timestamp::from_micros(0),
        oauth: None,
    }
}

#[test]
fn every_search_parameter_that_is_promised_is_taken_and_the_refused_ones_are_not_promised() {
    let statement = statement(&server());
    let resources = statement.items("rest")[0].items("resource");
    assert_eq!(resources.len(), ResourceType::ALL.len());
    for resource in resources {
        assert!(resource.get("conditionalCreate") == Some(&Json::Bool(true)), "If-None-Exist is answered");
        assert!(resource.get("conditionalUpdate") == Some(&Json::Bool(false)));
    }
    let mut promised = 0;
    for resource in resources {
        let kind: ResourceType = resource.text("type").expect("a type").parse().expect("a served type");
        for param in resource.items("searchParam") {
            let name = param.text("name").expect("a name").to_owned();
            let value = match (param.text("type"), name.as_str()) {
                (Some("date"), _) => "2026",
                (Some("reference"), _) | (_, "_id") => ANN,
                _ => "abc",
            };
            let read = parse_query(kind, &[(name.clone(), value.to_owned())], Handling::Strict);
            assert!(read.is_ok_and(|plan| plan.used.len() == 1), "{kind}?{name}");
            assert!(!params::LOW_CARDINALITY.contains(&name.as_str()), "{kind}.{name}");
            promised += 1;
        }
    }
    assert!(promised > 80, "{promised}");
}

#[test]
fn the_statement_has_what_r4_requires_and_what_clients_look_for() {
    let plain = statement(&server());
    for (key, value) in [
        ("resourceType", "CapabilityStatement"),
        ("status", "active"),
        ("date", "1970-01-01T00:00:00Z"),
        ("kind", "instance"),
        ("fhirVersion", "4.0.1"),
    ] {
        assert_eq!(plain.text(key), Some(value), "{key}");
    }
    let written = text(&plain);
    assert!(
        written.contains(r#""format":["application/fhir+json","json"]"#)
            && written.contains(r#"{"code":"transaction"}"#)
    );
    assert!(!written.contains("oauth-uris"));
    let oauth = Oauth { authorize: "https://a/authorize", token: "https://a/token" };
    assert!(
        text(&statement(&Server { oauth: Some(oauth), ..server() }))
            .contains(r#"{"url":"token","valueUri":"https://a/token"}"#)
    );
}

#[test]
fn an_outcome_says_what_is_wrong_where_and_what_to_do() {
    let warning = Issue {
        severity: Severity::Warning,
        kind: IssueType::Value,
        diagnostics: "a \"b\"".into(),
        expression: vec![],
    };
    let outcome = Outcome::error(IssueType::Required, "set status").at("Observation.status").with(warning);
    assert_eq!(
        text(&outcome.to_json()),
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","diagnostics":"set status","expression":["Observation.status"]},{"severity":"warning","code":"value","diagnostics":"a \"b\""}]}"#
    );
    assert_eq!(
        text(&Outcome::default().to_json()),
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}"#
    );
    assert_eq!(outcome.to_vec(), text(&outcome.to_json()).into_bytes());
}
