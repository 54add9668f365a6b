//! The plaintext of an envelope: searchable values first, then the body.
//!
//! `u32 length (little endian) | header JSON | body`. The header repeats the values that were tokenised, so that a
//! search match can be confirmed inside the vault; a plain read skips it without parsing.

use carekeep_kernel::index::IndexValue;

use crate::sealed::Plain;

/// Joins the searchable values and the body.
pub(crate) fn join(values: &[IndexValue], body: &[u8]) -> Result<Plain, serde_json::Error> {
    let header = Plain::new(serde_json::to_vec(values)?);
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut plain = Plain::new(Vec::with_capacity(4 + header.len() + body.len()));
    plain.extend_from_slice(&length.to_le_bytes());
    plain.extend_from_slice(&header);
    plain.extend_from_slice(body);
    Ok(plain)
}

/// Where the body starts, or `None` if the plaintext is too short to have one.
pub(crate) fn body_offset(plain: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(plain.get(..4)?.try_into().ok()?);
    let offset = usize::try_from(length).ok()?.checked_add(4)?;
    (offset <= plain.len()).then_some(offset)
}

/// The searchable values.
pub(crate) fn values(plain: &[u8]) -> Option<Vec<IndexValue>> {
    serde_json::from_slice(plain.get(4..body_offset(plain)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carekeep_kernel::index::{ParamId, Scope};

    #[test]
    fn header_and_body_come_apart_again() {
        let value = IndexValue { param: ParamId(3), scope: Scope::Tenant, text: "n:ann".to_owned() };
        let plain = join(std::slice::from_ref(&value), b"{\"a\":1.0}").unwrap();
        assert_eq!(&plain[body_offset(&plain).unwrap()..], b"{\"a\":1.0}");
        assert!(values(&plain).unwrap() == vec![value]);
        for cut in 0..4 {
            assert_eq!(body_offset(&plain[..cut]), None);
        }
        assert_eq!(body_offset(&[255, 255, 255, 255, 0]), None);
    }
}
