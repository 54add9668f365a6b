//! Key services, envelopes, blind indexes. The one place that does cryptography on stored data.
