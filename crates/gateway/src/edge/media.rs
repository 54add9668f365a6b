//! The media type of a body. A body that a plain HTML form could send (`text/plain` with JSON in it) is refused.

use http::{HeaderMap, header};

use super::routes::BodyKinds;
use crate::problem::{Problem, catalogue};

/// Checks the `Content-Type` of a request that has a body.
///
/// # Errors
/// 415 if it is absent, given twice, of another kind than the route takes, or not in UTF-8.
pub fn check(headers: &HeaderMap, kinds: BodyKinds) -> Result<(), Problem> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(catalogue::UNSUPPORTED_MEDIA_TYPE);
    };
    let text = value.to_str().map_err(|_| catalogue::UNSUPPORTED_MEDIA_TYPE)?;
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim().to_ascii_lowercase();
    if kinds.allows(&essence) && charset_is_utf8(parameters) {
        Ok(())
    } else {
        Err(catalogue::UNSUPPORTED_MEDIA_TYPE)
    }
}

fn charset_is_utf8(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(values: &[&str], kinds: BodyKinds) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, value.parse().unwrap());
        }
        check(&headers, kinds).is_ok()
    }

    #[test]
    fn bar_s3_json_routes_take_json_only() {
        for good in [
            "application/json",
            "Application/FHIR+json; charset=utf-8",
            "application/fhir+json;fhirVersion=4.0",
        ] {
            assert!(allowed(&[good], BodyKinds::Json), "{good}");
        }
        for bad in [
            "text/plain",
            "text/plain; application/json",
            "text/plain;charset=application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-16",
            "application/jsonx",
            "",
        ] {
            assert!(!allowed(&[bad], BodyKinds::Json), "{bad}");
        }
        assert!(!allowed(&[], BodyKinds::Json));
        assert!(!allowed(&["application/json", "text/plain"], BodyKinds::Json));
    }

    #[test]
    fn a_form_route_takes_forms_and_a_search_takes_both() {
        let form = "application/x-www-form-urlencoded";
        assert!(allowed(&[form], BodyKinds::Form) && !allowed(&["application/json"], BodyKinds::Form));
        assert!(
            allowed(&[form], BodyKinds::JsonOrForm) && allowed(&["application/json"], BodyKinds::JsonOrForm)
        );
        assert!(allowed(&["image/png"], BodyKinds::Any));
    }
}
