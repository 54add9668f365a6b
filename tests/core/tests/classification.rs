//! `docs/data-classification.md` is held against the live catalogue of a tenant: it says of every column of every table how it
//! lies there, and names none that is not there.

use std::collections::{BTreeMap, BTreeSet};

use carekeep_testkit::Platform;
use sqlx::Row;

/// Table -> its columns.
type Columns = BTreeMap<String, BTreeSet<String>>;

async fn catalogue(platform: &Platform, database: &str, schema: &str) -> Columns {
    let sql =
        "SELECT c.relname::text, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
          AND a.attnum > 0 AND NOT a.attisdropped";
    let pool = platform.superuser(database);
    let rows = sqlx::query(sql).bind(schema).fetch_all(&pool).await.unwrap();
    pool.close().await;
    let mut columns = Columns::new();
    for row in rows {
        columns.entry(row.get(0)).or_default().insert(row.get(1));
    }
    columns
}

/// What the page says under a heading: the first cell of each row of a table, `table.column`, then `column`, ..., in code.
/// `table.*` stands for all columns of the table.
fn said(page: &str, heading: &str) -> Columns {
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let mut said = Columns::new();
    let mut table = String::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        for name in cell.split('`').skip(1).step_by(2) {
            let column = name.split_once('.').map_or(name, |(named, column)| {
                named.clone_into(&mut table);
                column
            });
            assert!(
                said.entry(table.clone()).or_default().insert(column.to_owned()),
                "{table}.{column}: twice"
            );
        }
    }
    said
}

fn differences(live: &Columns, said: &Columns) -> Vec<String> {
    let none = BTreeSet::new();
    let mut differences = Vec::new();
    for table in live.keys().chain(said.keys()).collect::<BTreeSet<_>>() {
        let (live, said) = (live.get(table).unwrap_or(&none), said.get(table).unwrap_or(&none));
        let all = !live.is_empty() && said.len() == 1 && said.contains("*");
        if all {
            continue;
        }
        differences
            .extend(live.difference(said).map(|column| format!("{table}.{column} is not on the page")));
        differences
            .extend(said.difference(live).map(|column| format!("{table}.{column} is not in the database")));
    }
    differences
}

#[tokio::test]
async fn every_column_of_a_tenant_is_on_the_page_that_says_how_it_lies_there() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/data-classification.md");
    let page = std::fs::read_to_string(page).unwrap();
    let platform = Platform::start().await;
    let schema = platform.tenant("acme").await.id.schema();
    for (database, heading, tables) in
        [("clinical", "Clinical database", 6), ("operations", "Operations database", 11)]
    {
        let live = catalogue(&platform, database, &schema).await;
        assert!(live.len() >= tables, "{database}: {live:?}");
        assert_eq!(differences(&live, &said(&page, heading)), [""; 0], "{database}");
    }
    // The control: a column that a migration adds is noticed.
    crate::support::as_superuser(
        &platform,
        "operations",
        format!("ALTER TABLE {schema}.passkey ADD nickname text"),
    )
    .await;
    let live = catalogue(&platform, "operations", &schema).await;
    let noticed = differences(&live, &said(&page, "Operations database"));
    assert_eq!(noticed, ["passkey.nickname is not on the page"]);
}
