//! The bare handler of the bench: axum and sqlx, one SELECT, no session, no limits, no policy, no keys, no audit.
//!
//! `carekeep-bare SOCKET_DIR PORT ROLE READ_BYTES ROW_BYTES`, the password in `CAREKEEP_BARE_PASSWORD`: makes its table,
//! prints where it listens as one line of JSON, and serves until killed. It answers the same requests twice, without
//! TLS and with the product's TLS settings, and over pools of several sizes, so that the bench can pick the best.

mod serve;
mod table;

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

/// The product's allocator: the comparison is not one of allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections of the pools to choose from.
const POOLS: [u32; 5] = [2, 4, 8, 16, 32];

type Pools = State<Arc<BTreeMap<u32, PgPool>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next =
        || arguments.next().ok_or("usage: carekeep-bare SOCKET_DIR PORT ROLE READ_BYTES ROW_BYTES");
    let (socket, port, role) = (next()?, next()?, next()?);
    let (read_bytes, row_bytes) = (next()?.parse()?, next()?.parse()?);
    let options = PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(port.parse()?)
        .username(&role)
        .password(&std::env::var("CAREKEEP_BARE_PASSWORD")?)
        .database("operations");
    let pools: BTreeMap<u32, PgPool> = POOLS.into_iter().map(|size| (size, pool(size, &options))).collect();
    let rows = match pools.values().next() {
        Some(pool) => table::make(pool, read_bytes, row_bytes).await?,
        None => return Err("there is no pool".into()),
    };
    let router = Router::new()
        .route("/{pool}/read/{id}", get(read))
        .route("/{pool}/search/{patient}", get(search))
        .with_state(Arc::new(pools));
    let (plain, tls) =
        (serve::start(router.clone(), None).await?, serve::start(router, Some(serve::tls()?)).await?);
    announce(&serde_json::json!({
        "plain": format!("http://{plain}"),
        "tls": format!("https://{tls}"),
        "pools": POOLS,
        "id": rows.read,
        "patient": rows.patient,
    }));
    std::future::pending().await
}

fn pool(size: u32, options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options.clone())
}

#[expect(clippy::print_stdout, reason = "the bench reads the addresses from here")]
fn announce(line: &serde_json::Value) {
    println!("{line}");
}

async fn read(State(pools): Pools, Path((pool, id)): Path<(u32, Uuid)>) -> Response {
    let Some(pool) = pools.get(&pool) else { return StatusCode::NOT_FOUND.into_response() };
    match table::read(pool, id).await {
        Ok(Some(body)) => ([(header::CONTENT_TYPE, "application/fhir+json")], body).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn search(State(pools): Pools, Path((pool, patient)): Path<(u32, Uuid)>) -> Response {
    let Some(pool) = pools.get(&pool) else { return StatusCode::NOT_FOUND.into_response() };
    match table::search(pool, patient).await {
        Ok(bundle) => ([(header::CONTENT_TYPE, "application/fhir+json")], bundle).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
