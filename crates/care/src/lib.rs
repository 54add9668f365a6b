//! The use cases of care, one file each.
