//! The internal listener's answers: no tenant and no limits there, but the same headers and the same form of errors as on
//! the public one, so that nothing of it is kept by a cache or read by a browser either.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use carekeep_kernel::{Clock, Random};

use super::{headers, request_id::RequestId, stack::as_problem};
use crate::problem::{self, ErrorFormat};

type Source = (Arc<dyn Clock>, Arc<dyn Random>);

/// Finishes the answers of all routes of `router`, its fallbacks included. `clock` and `random` are for request ids.
pub fn internal(router: Router, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Router {
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state((clock, random), finish))
}

async fn finish(State((clock, random)): State<Source>, request: Request, next: Next) -> Response {
    let id = RequestId::generate(&*clock, &*random);
    let mut response = as_problem(next.run(request).await, ErrorFormat::Problem, id);
    headers::apply(response.headers_mut(), None, id);
    response
}
