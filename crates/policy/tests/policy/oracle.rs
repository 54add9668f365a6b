//! Z2: a second implementation of the base rules agrees with the engine, and the slices agree with the whole.

use std::cell::Cell;

use crate::{
    common::{Ask, engine, person},
    random,
    restated::{self as rules, Expected},
};
use carekeep_policy::{Action, Decision, Engine, PolicySource, ResourceKind, Role};
use proptest::test_runner::{Config, TestRunner};

/// Cases of a test: `CAREKEEP_ORACLE_CASES`, or `optimised`; without optimisation, a twentieth, or a test run would wait.
fn cases(optimised: u32) -> Config {
    let default = if cfg!(debug_assertions) { optimised / 20 } else { optimised };
    let cases = std::env::var("CAREKEEP_ORACLE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    Config { cases, failure_persistence: None, ..Config::default() }
}

fn answered(decision: &Decision) -> Expected {
    match decision {
        Decision::Allow { projection, .. } => Expected::Allow(*projection),
        Decision::Deny { reason, .. } => Expected::Deny(*reason),
    }
}

#[test]
fn z2_the_engine_agrees_with_the_oracle_on_random_requests() {
    let engine = engine();
    let (allowed, asked) = (Cell::new(0_u32), Cell::new(0_u32));
    let outcome = TestRunner::new(cases(100_000)).run(&random::ask(), |ask| {
        let decision = engine.decide_anew(&ask.request());
        proptest::prop_assert_eq!(&decision, &ask.decide(&engine));
        asked.set(asked.get() + 1);
        allowed.set(allowed.get() + u32::from(decision.is_allow()));
        proptest::prop_assert_eq!(
            answered(&decision),
            rules::decide(&ask),
            "{}",
            engine.explain(&ask.request())
        );
        Ok(())
    });
    outcome.unwrap();
    println!("{} requests, {} allowed, 0 disagreements", asked.get(), allowed.get());
    assert!(allowed.get() * 10 > asked.get(), "only {} of {} were allowed", allowed.get(), asked.get());
}

/// An overlay that uses every form of scope, so that a wrong reading of one would show.
fn overlay() -> String {
    let principals = [
        "principal",
        "principal is Person",
        "principal in Role::\"nurse\"",
        "principal is Person in Role::\"billing\"",
        "principal == Person::\"018f3c1e-0000-7000-8000-000000000201\"",
        "principal in Person::\"018f3c1e-0000-7000-8000-000000000202\"",
        "principal is Person in Person::\"018f3c1e-0000-7000-8000-000000000201\"",
    ];
    let actions = [
        "action",
        "action == Action::\"read\"",
        "action in Action::\"search\"",
        "action in [Action::\"update\", Action::\"read_audit\"]",
    ];
    let resources = [
        "resource",
        "resource is Encounter",
        "resource == Patient::\"018f3c1e-0000-7000-8000-000000000301\"",
        "resource in ClinicalRecord::\"018f3c1e-0000-7000-8000-000000000302\"",
        "resource is Appointment in Appointment::\"018f3c1e-0000-7000-8000-000000000303\"",
    ];
    let mut text = String::new();
    for (p, principal) in principals.iter().enumerate() {
        for (a, action) in actions.iter().enumerate() {
            for (r, resource) in resources.iter().enumerate() {
                // A policy that fits no request environment at all is refused by validation.
                if (*action, r) == (actions[3], 1) || r == 0 && a == 0 && p < 2 {
                    continue;
                }
                let (effect, annotation) = if (p + a + r) % 5 == 0 {
                    ("forbid", "")
                } else {
                    ("permit", "@projection(\"schedule\")")
                };
                text += &format!(
                    "@id(\"t.{p}.{a}.{r}\") @description(\"d\") {annotation} {effect} ({principal}, {action}, {resource}) \
                     when {{ context.knownDevice }};\n"
                );
            }
        }
    }
    text
}

#[test]
fn a_decision_by_the_slice_is_the_decision_by_all_policies() {
    let engine = Engine::compile(&PolicySource::shipped(), Some(&overlay())).unwrap();
    let (allowed, by_overlay) = (Cell::new(0_u32), Cell::new(0_u32));
    let outcome = TestRunner::new(cases(20_000)).run(&random::ask(), |ask: Ask| {
        let sliced = ask.decide(&engine);
        allowed.set(allowed.get() + u32::from(sliced.is_allow()));
        by_overlay.set(by_overlay.get() + u32::from(sliced.policies().iter().any(|id| id.starts_with("t."))));
        proptest::prop_assert_eq!(sliced, engine.decide_unsliced(&ask.request()));
        Ok(())
    });
    outcome.unwrap();
    assert!(allowed.get() > 100 && by_overlay.get() > 100, "{} {}", allowed.get(), by_overlay.get());
}

#[test]
fn a_remembered_decision_is_the_one_that_evaluating_gives() {
    // Policies that name nobody, so that everything is remembered, and that look at every fact and equality.
    let overlay = r#"
        @id("t.chart") @description("d") @projection("schedule") permit (principal, action == Action::"update", resource is Patient)
        when { principal has patient && resource == principal.patient && !context.knownDevice };
        @id("t.row") @description("d") @projection("contact") permit (principal, action == Action::"read", resource is Patient)
        when { resource has patient && resource == resource.patient && context.aal == 3 };
        @id("t.self") @description("d") @projection("metadata") permit (principal, action == Action::"list_people", resource is Account)
        when { resource has person && resource.person == principal };
        @id("t.kind") @description("d") @projection("metadata") permit (principal, action == Action::"read", resource is ClinicalRecord)
        when { resource.kind == RecordKind::"Procedure" && context.purpose == Purpose::"BTG" && context.proxy };
    "#;
    for overlay in [None, Some(overlay)] {
        let engine = Engine::compile(&PolicySource::shipped(), overlay).unwrap();
        let outcome = TestRunner::new(cases(50_000)).run(&random::ask(), |ask: Ask| {
            proptest::prop_assert_eq!(ask.decide(&engine), engine.decide_anew(&ask.request()));
            Ok(())
        });
        outcome.unwrap();
    }
}

#[test]
fn a_policy_that_names_somebody_is_about_them_only() {
    let overlay = r#"@id("t.one") @description("d") @projection("metadata")
        permit (principal == Person::"018f3c1e-0000-7000-8000-000000000202", action == Action::"read", resource is Tenant);
        @id("t.old") @description("d") @projection("metadata")
        permit (principal in Role::"auditor", action == Action::"search", resource is DirectoryEntry)
        when { context["factor\u{41}ge"] > 100 };"#;
    let engine = Engine::compile(&PolicySource::shipped(), Some(overlay)).unwrap();
    let ask = |n: u8| {
        Ask::new(Role::Auditor, Action::Read, ResourceKind::Tenant)
            .change(|ask| ask.principal.person = person(n))
    };
    // Asked in turns, so that a decision remembered for the one would show with the other.
    for _ in 0..3 {
        assert!(!ask(1).decide(&engine).is_allow());
        assert!(ask(2).decide(&engine).is_allow());
    }
    let search = |age: u32| {
        let ask = Ask::new(Role::Auditor, Action::Search, ResourceKind::Practitioner);
        ask.change(|ask| ask.context.factor_age_seconds = age).decide(&engine).policies().len()
    };
    for _ in 0..3 {
        assert_eq!((search(100), search(101)), (1, 2));
    }
}

#[test]
fn what_may_never_be_is_never_allowed() {
    let engine = engine();
    let outcome = TestRunner::new(cases(50_000)).run(&random::ask(), |ask: Ask| {
        if ask.decide(&engine).is_allow() {
            proptest::prop_assert!(engine.may_ever(ask.principal.roles, ask.action, ask.resource.kind));
        }
        Ok(())
    });
    outcome.unwrap();
}
