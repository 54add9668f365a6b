//! Types of columns that must not be printed. sea-orm asks every row for `Debug`; these say only what they are.

use std::fmt;

use sea_orm::{DbErr, DeriveValueType, TryFromU64};

macro_rules! unprintable {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, DeriveValueType)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

unprintable! {
    /// An envelope that only the vault opens.
    Sealed(Vec<u8>);
    /// The SHA-256 of a token or of a recovery code.
    Digest(Vec<u8>);
    /// A password's slow hash, as PHC string.
    Phc(String);
    /// A text about or by a person, or the serialised state of a ceremony.
    Private(String);
}

impl TryFromU64 for Digest {
    /// No database gives one out by counting.
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_prints_neither_hashes_nor_what_people_typed() {
        let shown =
            format!("{:?} {:?}", Phc("$argon2id$x".to_owned()), Some(Private("Ada's phone".to_owned())));
        assert_eq!(shown, "Phc(..) Some(Private(..))");
        let bytes =
            format!("{:?} {:?}", Digest(vec![222, 173]), sea_orm::ActiveValue::Set(Sealed(vec![222])));
        assert!(!bytes.contains("222"), "{bytes}");
        // The positive control: what the same bytes look like elsewhere.
        assert!(format!("{:?}", vec![222_u8]).contains("222"));
    }
}
