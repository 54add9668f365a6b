//! FHIR R4 definitions, search parameters, validation, bundles. Pure.
