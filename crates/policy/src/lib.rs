//! Cedar policies: schema, load, strict validation, decide, prove, explain. Pure and hot-swapped.
