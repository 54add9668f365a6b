//! Server-rendered pages, branded per tenant.
