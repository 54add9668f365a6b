//! The pages, which hold no data of anybody: they answer everybody of a tenant that is served.

use carekeep_kernel::TenantKind;
use reqwest::StatusCode;

use super::{
    Scene,
    stage::{Call, Stage},
    table::{Row, Table},
};

/// Each route of the pages with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("page.home", &[""]),
    ("page.sign_in", &[""]),
    ("page.sign_in_stopped", &[""]),
    ("page.join", &[""]),
    ("page.recover", &[""]),
    ("page.consent", &[""]),
    ("page.apps", &[""]),
    ("page.people", &[""]),
    ("page.settings", &[""]),
    ("page.brand", &[""]),
    ("page.asset", &["sign-in.js"]),
];

#[tokio::test]
async fn bar_z3_each_principal_gets_from_the_pages_what_the_table_says() {
    let stage = Stage::open().await;
    let mut table = Table::default();
    for page in carekeep_portal::pages().into_iter().filter(|page| page.offered.at(TenantKind::Clinic)) {
        let variants = ROUTES.iter().find(|(name, _)| *name == page.name).map_or(&[][..], |(_, all)| all);
        for variant in variants {
            let (method, success) = (reqwest::Method::GET, StatusCode::OK);
            let row = Row { name: page.name, variant, method, path: page.path, success };
            let (mut scene, mut cells) = (Scene::new(&stage), Vec::new());
            for actor in &stage.cast {
                let credential = stage.credential(actor).await;
                let call = Call::get(page.path.replace("{file}", variant));
                cells.push((actor.name, scene.play(&credential, &call).await));
            }
            table.add(&row, &cells);
        }
    }
    table.compare("pages", "Who gets what from the pages of acme.");
    for name in carekeep_portal::asset_names() {
        let answer = stage.send(&Stage::nobody(), &Call::get(format!("/assets/{name}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
    }
    stage.close().await;
}
