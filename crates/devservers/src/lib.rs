//! Private PostgreSQL and Redis processes for development and tests.
