//! The bare handler of the bench: axum and sqlx, one SELECT by key, no session, no limits, no policy, no keys, no audit.
//!
//! `carekeep-bare SOCKET_DIR PORT ROLE PASSWORD` makes its table, prints `http://127.0.0.1:PORT/ID` and serves until killed.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sqlx::{
    PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

/// As large as a sample Patient.
const BODY_BYTES: usize = 2_300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: carekeep-bare SOCKET_DIR PORT ROLE PASSWORD");
    let (socket, port, role, password) = (next()?, next()?, next()?, next()?);
    let options = PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(port.parse()?)
        .username(&role)
        .password(&password)
        .database("operations");
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options)
        .await?;
    let id = Uuid::from_u128(7);
    sqlx::raw_sql(
        "CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE IF NOT EXISTS bench.bare (id uuid PRIMARY KEY, body bytea)",
    )
    .execute(&pool)
    .await?;
    sqlx::query("INSERT INTO bench.bare VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(id)
        .bind(vec![b'x'; BODY_BYTES])
        .execute(&pool)
        .await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    announce(&format!("http://{}/{id}", listener.local_addr()?));
    axum::serve(listener, Router::new().route("/{id}", get(read)).with_state(pool)).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the bench reads the address from here")]
fn announce(address: &str) {
    println!("{address}");
}

async fn read(State(pool): State<PgPool>, Path(id): Path<Uuid>) -> Response {
    let row = sqlx::query("SELECT body FROM bench.bare WHERE id = $1").bind(id).fetch_optional(&pool).await;
    match row.ok().flatten().and_then(|row| row.try_get::<Vec<u8>, _>(0).ok()) {
        Some(body) => ([(header::CONTENT_TYPE, "application/fhir+json")], body).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
