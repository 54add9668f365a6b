//! The HTTP edge: accept loop, limits, routes, views, telemetry.
