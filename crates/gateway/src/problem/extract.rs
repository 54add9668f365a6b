//! Extractors that refuse with a [`Problem`] instead of axum's texts, which may repeat what the client sent.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::edge::body::strict_json;

/// A body of strict JSON: no duplicate names, at most 64 levels and 10,000 names. The media type was checked by the edge.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await?;
        strict_json::parse(&bytes).map(Self)
    }
}

/// The parameters of the route's path.
#[derive(Debug, Clone, Copy, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

/// The parameters of the query.
#[derive(Debug, Clone, Copy, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// A submitted form.
#[derive(Debug, Clone, Copy, FromRequest)]
#[from_request(via(axum::extract::Form), rejection(Problem))]
pub struct Form<T>(pub T);
