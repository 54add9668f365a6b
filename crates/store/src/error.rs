//! Why the store has no answer.

use sea_orm::{DbErr, RuntimeErr};

/// The storage of a tenant could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the storage of this tenant does not answer ({cause}): try again in a few seconds")]
pub struct StoreError {
    /// For the operator's log: SQLSTATE or kind. The server's own text may quote values of rows, so it is not kept.
    pub cause: String,
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let cause = match &error {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => carekeep_vault::sqlstate(error),
            DbErr::ConnectionAcquire(_) => "no free connection".to_owned(),
            DbErr::RecordNotFound(_) => "no row".to_owned(),
            DbErr::RecordNotInserted | DbErr::RecordNotUpdated => "no row written".to_owned(),
            DbErr::Type(_) | DbErr::Json(_) => "a column has an unexpected type".to_owned(),
            _ => "driver failure".to_owned(),
        };
        Self { cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_x10_what_the_server_says_about_values_is_not_kept() {
        let error = StoreError::from(DbErr::Custom("Key (login)=(ada) already exists".to_owned()));
        assert!(!format!("{error} {error:?}").contains("ada"));
        assert!(error.to_string().contains("driver failure"));
    }
}
