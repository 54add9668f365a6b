//! The tests of the policy layer, as one program: it links Cedar, which takes a while.

#[cfg(test)]
mod common;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod random;
#[cfg(test)]
mod restated;
