//! Nothing is left out: each route has a case and each case a route.

use std::collections::BTreeSet;

use carekeep_gateway::api::endpoints;

use super::{apps, beyond, federation, fhir, identity, internal, pages, scim};

/// Routes without a case. It is empty, and may not grow.
const UNCOVERED: &[&str] = &[];

fn covered() -> BTreeSet<&'static str> {
    let lists = [
        fhir::ROUTES,
        identity::ROUTES,
        apps::ROUTES,
        pages::ROUTES,
        internal::ROUTES,
        scim::ROUTES,
        federation::ROUTES,
        beyond::ROUTES,
    ];
    let with_cases = |(name, variants): &(&'static str, &[&str])| (!variants.is_empty()).then_some(*name);
    lists.into_iter().flatten().filter_map(with_cases).collect()
}

fn routes() -> BTreeSet<&'static str> {
    let api = endpoints().into_iter().map(|endpoint| endpoint.name);
    let pages = carekeep_portal::pages().into_iter().map(|page| page.name);
    let control = carekeep::control::routes().into_iter().map(|route| route.name);
    api.chain(pages).chain(control).collect()
}

#[test]
fn bar_z3_every_route_has_its_case_and_every_case_its_route() {
    let (routes, covered) = (routes(), covered());
    let uncovered: Vec<_> = routes.difference(&covered).collect();
    assert_eq!(uncovered, UNCOVERED.iter().collect::<Vec<_>>(), "routes that nobody plays");
    assert_eq!(covered.difference(&routes).collect::<Vec<_>>(), Vec::<&&str>::new(), "cases without a route");
    // The positive control: the lists are the ones that the routers are made from.
    for known in ["fhir.read", "people.invite", "page.join", "control.suspend"] {
        assert!(routes.contains(known), "{known}");
    }
}
