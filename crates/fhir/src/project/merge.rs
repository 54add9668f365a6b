//! What a writer means who saw only a projection: the visible as sent, the hidden as stored. Nothing hidden is lost: a change
//! that would take some away, or that leaves open which item a hidden part belongs to, is refused.

use std::fmt;

use super::{
    DESCRIPTIONS, Projection,
    Show::{self, All, Keys, Value},
    list, shown,
};
use crate::{
    json::{Json, Object},
    types::ResourceType,
};

/// A change would take away what its writer may not see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the change would take away parts of {0} that you may not see: send its items as they were read and change them one \
     at a time, or ask somebody who sees the whole resource"
)]
pub struct HiddenLoss(
    /// The element, for `OperationOutcome.issue.expression`.
    pub String,
);

impl HiddenLoss {
    fn within(self, parent: impl fmt::Display) -> Self {
        if self.0.is_empty() { Self(parent.to_string()) } else { Self(format!("{parent}.{}", self.0)) }
    }
}

type Merged<T> = Result<T, HiddenLoss>;

const fn lost<T>() -> Merged<T> {
    Err(HiddenLoss(String::new()))
}

/// `stored` with the change that a writer made who saw a projection of it. Reading the outcome by the same projection gives
/// what was sent, except `meta`, which stays as it is stored: labels are not for somebody who sees a part.
///
/// Items of lists have no identity in FHIR. One that was sent as it is shown is the stored one; a changed one is the stored
/// one with which it has most in common, at least half of what is shown, if neither has as much in common with another.
///
/// # Errors
/// [`HiddenLoss`] when something hidden would have no place any more.
pub fn merge(kind: ResourceType, projection: Projection, stored: &Json, sent: &Json) -> Merged<Json> {
    let sent = super::project(kind, projection, sent);
    match (list(kind, projection), stored.as_object(), sent.as_object()) {
        (Keys(keys), Some(stored), Some(sent)) => {
            object(stored, sent, keys, &["meta"]).map(Json::Object).map_err(|loss| loss.within(kind))
        }
        _ => Ok(sent),
    }
}

/// Members as sent where they are visible (absence removes), as stored where they are not.
fn object(
    stored: &Object,
    sent: &Object,
    keys: &'static [(&'static str, Show)],
    kept: &[&str],
) -> Merged<Object> {
    let mut out = stored.duplicate();
    for (key, show) in keys.iter().filter(|(key, _)| !kept.contains(key)) {
        let companion_key = format!("_{key}");
        let (old, new) = (stored.get(key), sent.get(key));
        if let Some(Json::Array(companions)) = stored.get(&companion_key) {
            let items = |member: Option<&Json>| {
                member
                    .and_then(Json::as_array)
                    .map_or_else(Vec::new, |items| items.iter().map(Json::duplicate).collect())
            };
            let (values, companions) =
                primitives(items(old), companions, items(new)).map_err(|loss| loss.within(key))?;
            put(&mut out, key, values);
            put(&mut out, &companion_key, companions);
            continue;
        }
        let value = match old {
            Some(old) => member(old, new, show).map_err(|loss| loss.within(key))?,
            None => new.map(Json::duplicate),
        };
        put(&mut out, key, value);
    }
    Ok(out)
}

fn put(object: &mut Object, key: &str, value: Option<Json>) {
    match value {
        Some(value) => object.set(key, value),
        None => {
            object.remove(key);
        }
    }
}

/// What becomes of one stored value; `None` when it goes.
fn member(old: &Json, new: Option<&Json>, show: &'static Show) -> Merged<Option<Json>> {
    let same = match (shown(old, show), new) {
        (None, None) => true,
        (Some(seen), Some(new)) => seen.same(new),
        _ => false,
    };
    if same {
        return Ok(Some(old.duplicate()));
    }
    match (show, old, new) {
        (Keys(keys), Json::Object(old), Some(Json::Object(new))) => {
            object(old, new, keys, &[]).map(|object| Some(Json::Object(object)))
        }
        (Keys(_), Json::Array(old), Some(Json::Array(new))) => items(old, new, show).map(whole),
        (Keys(_), Json::Array(old), None) => items(old, &[], show).map(whole),
        _ if loses(old, show) => lost(),
        _ => Ok(new.map(Json::duplicate)),
    }
}

/// FHIR has no empty lists.
fn whole(items: Vec<Json>) -> Option<Json> {
    (!items.is_empty()).then_some(Json::Array(items))
}

/// Whether something hidden would be lost with this value. What only describes the visible goes with it.
fn loses(value: &Json, show: &Show) -> bool {
    let (keys, exempt): (_, &[&str]) = match show {
        All => return false,
        Keys(keys) => (keys, &[]),
        Value(keys) => (keys, DESCRIPTIONS),
    };
    match value {
        Json::Object(object) => {
            object.iter().any(|(key, member)| match keys.iter().find(|(name, _)| *name == key) {
                Some((_, inner)) => loses(member, inner),
                None => !exempt.contains(&key),
            })
        }
        Json::Array(items) => items.iter().any(|item| loses(item, show)),
        _ => true,
    }
}

/// The items of a list in the order in which they were sent; those of which nothing is shown stay behind their neighbours.
fn items(old: &[Json], new: &[Json], show: &'static Show) -> Merged<Vec<Json>> {
    let seen: Vec<Option<Json>> = old.iter().map(|item| shown(item, show)).collect();
    let origins = origins(&seen, new);
    let gone = |at: &usize| seen.get(*at).is_some_and(Option::is_some) && !origins.contains(&Some(*at));
    if (0..old.len()).filter(gone).any(|at| old.get(at).is_some_and(|item| loses(item, show))) {
        return lost();
    }
    let mut out: Vec<(Option<usize>, Json)> = Vec::with_capacity(new.len());
    for (origin, item) in origins.iter().zip(new) {
        let merged = match origin.and_then(|at| old.get(at)) {
            Some(stored) => member(stored, Some(item), show)?,
            None => Some(item.duplicate()),
        };
        out.extend(merged.map(|item| (*origin, item)));
    }
    for (at, (item, seen)) in old.iter().zip(&seen).enumerate() {
        if seen.is_none() {
            let place = |before| out.iter().position(|(origin, _)| *origin == Some(before));
            let place = (0..at).rev().find_map(place).map_or(0, |before| before + 1);
            out.insert(place, (Some(at), item.duplicate()));
        }
    }
    Ok(out.into_iter().map(|(_, item)| item).collect())
}

/// For each item that was sent, which stored one it is.
fn origins(seen: &[Option<Json>], new: &[Json]) -> Vec<Option<usize>> {
    let mut free: Vec<(usize, &Json)> =
        seen.iter().enumerate().filter_map(|(at, item)| Some((at, item.as_ref()?))).collect();
    let mut origins = vec![None; new.len()];
    // Of several that look alike each is itself, as long as none was added or taken away.
    if free.len() == new.len() {
        for ((origin, item), (at, old)) in origins.iter_mut().zip(new).zip(&free) {
            *origin = old.same(item).then_some(*at);
        }
        free.retain(|(at, _)| !origins.contains(&Some(*at)));
    }
    for (origin, item) in origins.iter_mut().zip(new).filter(|(origin, _)| origin.is_none()) {
        *origin = free.iter().position(|(_, old)| old.same(item)).map(|at| free.remove(at).0);
    }
    let fresh: Vec<(usize, &Json)> =
        new.iter().enumerate().filter(|(at, _)| origins.get(*at) == Some(&None)).collect();
    let pairs: Vec<(usize, usize)> = match (free.as_slice(), fresh.as_slice()) {
        ([(old_at, old)], [(at, item)]) if leaves(old) == 1 && leaves(item) == 1 => vec![(*old_at, *at)],
        _ => fresh.iter().filter_map(|(at, item)| Some((nearest(item, &free, &fresh)?, *at))).collect(),
    };
    for (old_at, at) in pairs {
        if let Some(origin) = origins.get_mut(at) {
            *origin = Some(old_at);
        }
    }
    origins
}

/// The stored item that this one was, if that is beyond doubt from both sides.
fn nearest(item: &Json, free: &[(usize, &Json)], fresh: &[(usize, &Json)]) -> Option<usize> {
    let (at, old) = only_best(free, |old| common(old, item))?;
    let (_, back) = only_best(fresh, |new| common(old, new))?;
    (std::ptr::eq(back, item) && common(old, item) * 2 >= leaves(old)).then_some(at)
}

fn only_best<'a>(of: &[(usize, &'a Json)], score: impl Fn(&Json) -> usize) -> Option<(usize, &'a Json)> {
    let most = of.iter().map(|(_, item)| score(item)).max().filter(|most| *most > 0)?;
    let mut best = of.iter().filter(|(_, item)| score(item) == most);
    match (best.next(), best.next()) {
        (Some(best), None) => Some(*best),
        _ => None,
    }
}

/// How many values there are.
fn leaves(value: &Json) -> usize {
    match value {
        Json::Object(object) => object.iter().map(|(_, member)| leaves(member)).sum(),
        Json::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// How many values of `a` are in the same place of `b`; places in lists do not count.
fn common(a: &Json, b: &Json) -> usize {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.iter().filter_map(|(key, member)| Some(common(member, b.get(key)?))).sum()
        }
        (Json::Array(a), Json::Array(b)) => {
            a.iter().map(|item| b.iter().map(|other| common(item, other)).max().unwrap_or(0)).sum()
        }
        _ => usize::from(a.same(b)),
    }
}

/// A value of a list of primitives together with what stands for it in the hidden companion list (`_given`).
const PAIR: &Show = &Keys(&[("value", All)]);

/// A list of primitives whose companion is hidden: both lists, or none where all of one is null.
fn primitives(old: Vec<Json>, companions: &[Json], new: Vec<Json>) -> Merged<(Option<Json>, Option<Json>)> {
    let length = old.len().max(companions.len());
    let mut old = old.into_iter();
    let mut stored = Vec::with_capacity(length);
    for at in 0..length {
        let value = old.next().unwrap_or(Json::Null);
        let mut pair = Json::object([("value", value)]);
        if let (Some(pair), Some(companion @ Json::Object(_))) = (pair.as_object_mut(), companions.get(at)) {
            pair.set("companion", companion.duplicate());
        }
        stored.push(pair);
    }
    let sent: Vec<Json> = new.into_iter().map(|value| Json::object([("value", value)])).collect();
    let mut merged = items(&stored, &sent, PAIR)?;
    let mut column = |key: &str| -> Vec<Json> {
        let cell =
            |pair: &mut Json| pair.as_object_mut().and_then(|pair| pair.remove(key)).unwrap_or(Json::Null);
        merged.iter_mut().map(cell).collect()
    };
    let (values, companions) = (column("value"), column("companion"));
    let some = |items: Vec<Json>| items.iter().any(|item| *item != Json::Null).then_some(Json::Array(items));
    Ok((some(values), some(companions)))
}
