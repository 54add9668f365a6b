//! Names that end up in host names and file names: slugs and hosts.

use crate::TenancyError;

/// Checks a slug: 2 to 40 of `a-z 0-9 -`, starting with a letter, not ending with a hyphen. It becomes a DNS label
/// (RFC 1035 section 2.3.1).
///
/// # Errors
/// [`TenancyError::Name`].
pub(crate) fn check_slug(slug: &str) -> Result<(), TenancyError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (2..=40).contains(&slug.len())
        && slug.chars().all(allowed)
        && slug.starts_with(|c: char| c.is_ascii_lowercase())
        && !slug.ends_with('-');
    if fits {
        return Ok(());
    }
    Err(TenancyError::Name {
        field: "slug",
        value: slug.to_owned(),
        advice: "use 2 to 40 lower-case letters, digits and hyphens, starting with a letter",
    })
}

/// Checks a host name: lower-case labels, no port, no trailing dot.
///
/// # Errors
/// [`TenancyError::Name`].
pub(crate) fn check_host(host: &str) -> Result<(), TenancyError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() <= 253 && host.contains('.') && host.split('.').all(label) {
        return Ok(());
    }
    Err(TenancyError::Name {
        field: "host",
        value: host.to_owned(),
        advice: "use a lower-case DNS name without port, such as clinic.example",
    })
}

/// Checks a name for people: 1 to 120 characters, none of them a control character.
///
/// # Errors
/// [`TenancyError::Name`].
pub(crate) fn check_display(field: &'static str, name: &str) -> Result<(), TenancyError> {
    let length = name.chars().count();
    if (1..=120).contains(&length) && !name.chars().any(char::is_control) && name.trim() == name {
        return Ok(());
    }
    Err(TenancyError::Name {
        field,
        value: name.chars().take(40).collect(),
        advice: "use 1 to 120 characters without line breaks or surrounding spaces",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_a_dns_label() {
        for good in ["ab", "acme", "north-clinic-2"] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        let long = "a".repeat(41);
        for bad in ["", "a", "Acme", "2acme", "acme-", "a_b", "a.b", "a b", "äcme", "a;drop", &long] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_lower_case_name_without_port() {
        for good in ["acme.localhost", "portal.north-clinic.example"] {
            assert!(check_host(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "Acme.example",
            "a.b:80",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a.b-",
            "a_b.c",
            "[::1]",
        ] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
    }
}
