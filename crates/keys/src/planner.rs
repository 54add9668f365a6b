//! Which columns may have a blind index, and how long its tokens should be. Pure; used by tests and by schema lints.
//!
//! A token leaks how often its value occurs. That is tolerable where values are many and rare (names, identifiers) and
//! gives the value away where they are few (sex, a yes or no): those columns are refused. The rule for lengths is that of
//! CipherSweet's planner: a token should stand for at least 2 and fewer than sqrt(R) of R rows.

use std::ops::RangeInclusive;

use carekeep_kernel::index::Scope;

/// Fewest distinct values that a column needs to be indexed across a tenant (BARS K7).
pub const MIN_POPULATION: u64 = 16;

/// A column that somebody wants to search by equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name, for the message.
    pub name: &'a str,
    /// How many distinct values it can hold in practice.
    pub population: u64,
    /// Whether the frequencies of its values are known to the public (diagnoses, birth years): counting tokens then
    /// names the value, however many there are.
    pub known_frequencies: bool,
    /// How widely its tokens compare.
    pub scope: Scope,
}

/// Why a column must not have a blind index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnRefused {
    /// Too few distinct values.
    #[error(
        "column {name:?} has {population} distinct values, fewer than 16: do not index it, filter after opening"
    )]
    LowCardinality {
        /// The column.
        name: String,
        /// Its distinct values.
        population: u64,
    },
    /// Values can be told by counting.
    #[error("column {name:?} has publicly known frequencies: salt its tokens by patient (Scope::Patient)")]
    KnownFrequencies {
        /// The column.
        name: String,
    },
}

/// Whether `column` may have a blind index. Tokens salted by patient do not compare across patients, so that counting
/// them tells little; they are allowed.
///
/// # Errors
/// [`ColumnRefused`], which says what to do instead.
pub fn check(column: &Column<'_>) -> Result<(), ColumnRefused> {
    if column.scope == Scope::Patient {
        return Ok(());
    }
    if column.population < MIN_POPULATION {
        let (name, population) = (column.name.to_owned(), column.population);
        return Err(ColumnRefused::LowCardinality { name, population });
    }
    if column.known_frequencies {
        return Err(ColumnRefused::KnownFrequencies { name: column.name.to_owned() });
    }
    Ok(())
}

/// How many bits a token should have in a table of `rows`, so that false matches hide the true ones without drowning
/// them: from `rows / 2^bits < sqrt(rows)` up to the shortest with `rows / 2^bits <= 2`. `None` below 16 rows, where no
/// length hides anything.
#[must_use]
pub fn bits(rows: u64) -> Option<RangeInclusive<u32>> {
    if rows < MIN_POPULATION {
        return None;
    }
    let rows = u128::from(rows);
    // rows / 2^l <= sqrt(rows)  <=>  rows <= 4^l ; rows / 2^l <= 2  <=>  rows <= 2^(l + 1)
    let min = (1..=64).find(|bits| rows <= 1 << (2 * bits).min(127))?;
    let max = (1..=64).find(|bits| rows <= 1 << (bits + 1))?;
    Some(min..=max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Column<'_> =
        Column { name: "family", population: 5_000, known_frequencies: false, scope: Scope::Tenant };

    #[test]
    fn k7_fifty_thousand_rows_get_8_to_15_bits() {
        assert_eq!(bits(50_000), Some(8..=15));
        assert_eq!(bits(16), Some(2..=3));
        assert_eq!(bits(15), None);
        assert_eq!(bits(u64::MAX), Some(32..=63));
    }

    #[test]
    fn k7_low_cardinality_columns_are_refused_and_names_are_not() {
        assert_eq!(check(&NAME), Ok(()));
        assert_eq!(check(&Column { population: 16, ..NAME }), Ok(()));
        for (name, population) in [("sex", 4), ("deceased", 2), ("active", 2), ("nothing", 0), ("edge", 15)] {
            let refused = check(&Column { name, population, ..NAME });
            assert_eq!(refused, Err(ColumnRefused::LowCardinality { name: name.into(), population }));
        }
    }

    #[test]
    fn k7_diagnoses_are_refused_unless_salted_by_patient() {
        let code = Column { name: "Condition.code", population: 70_000, known_frequencies: true, ..NAME };
        assert_eq!(check(&code), Err(ColumnRefused::KnownFrequencies { name: "Condition.code".into() }));
        assert_eq!(check(&Column { scope: Scope::Patient, ..code }), Ok(()));
    }
}
