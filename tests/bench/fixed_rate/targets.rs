//! Whom to ask, and how often each.

use std::path::Path;

use crate::Fault;

/// One thing to ask for.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) path: String,
    /// Of a session; none where nobody is signed in.
    pub(crate) token: Option<String>,
    /// JSON to post; without it the request is a GET.
    pub(crate) body: Option<String>,
}

impl Target {
    fn parse(line: &str) -> Result<Self, Fault> {
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut next = || words.next().ok_or("a target is `host path token [body]`, with `-` for no token");
        let (host, path, token) = (next()?, next()?, next()?);
        Ok(Self { host, path, token: (token != "-").then_some(token), body: words.next() })
    }
}

/// Targets in falling order of how often they are asked for.
pub(crate) struct Targets {
    all: Vec<Target>,
    /// The share of requests that go to this target or one before it.
    shares: Vec<f64>,
}

impl Targets {
    pub(crate) fn read(path: &Path, zipf: f64) -> Result<Self, Fault> {
        let text = std::fs::read_to_string(path)?;
        let all = text.lines().map(Target::parse).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err("no targets".into());
        }
        Ok(Self { shares: shares(all.len(), zipf), all })
    }

    /// The target of a request, the same in every run.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are a fraction between 0 and 1")]
    pub(crate) fn pick(&self, number: u64) -> usize {
        let fraction = (mix(number) >> 11) as f64 / (1_u64 << 53) as f64;
        self.shares.partition_point(|share| *share <= fraction).min(self.all.len() - 1)
    }

    pub(crate) fn get(&self, index: usize) -> &Target {
        &self.all[index]
    }
}

/// Cumulated shares by Zipf's law: the k-th is asked for in proportion to k^-exponent.
fn shares(count: usize, exponent: f64) -> Vec<f64> {
    let weights: Vec<f64> =
        (1..=u32::try_from(count).unwrap_or(u32::MAX)).map(|k| f64::from(k).powf(-exponent)).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    weights
        .iter()
        .map(|weight| {
            sum += weight / total;
            sum
        })
        .collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads counters evenly over 64 bits.
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_read_or_with_a_body_something_posted() {
        let read = Target::parse("acme.localhost /fhir/R4/Patient/1 cks_a").unwrap();
        assert_eq!((read.token.as_deref(), read.body), (Some("cks_a"), None));
        let posted = Target::parse("acme.localhost /api/v1/sign-in/password - {\"login\":\"a\"}").unwrap();
        assert_eq!((posted.token, posted.body.as_deref()), (None, Some("{\"login\":\"a\"}")));
        assert!(Target::parse("acme.localhost /path").is_err());
    }

    #[test]
    fn targets_are_asked_for_by_zipfs_law_and_none_is_left_out() {
        let target = || Target::parse("host /path -").unwrap();
        let targets = Targets { all: (0..200).map(|_| target()).collect(), shares: shares(200, 1.0) };
        let mut asked = [0_u32; 200];
        (0..200_000).for_each(|number| asked[targets.pick(number)] += 1);
        // The sum of 1/k up to 200 is 5.878.
        for (index, expected) in [(0, 34_025), (1, 17_013), (9, 3_403)] {
            assert!(
                asked[index].abs_diff(expected) < expected / 20,
                "{index}: {} of {expected}",
                asked[index]
            );
        }
        assert!(asked.iter().all(|count| *count > 100));
    }
}
