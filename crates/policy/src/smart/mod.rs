//! SMART App Launch scopes, version 1 and 2 (HL7 SMART App Launch 2.2, "Scopes and Launch Context").
//!
//! Invariant: a scope that is not understood, or that cannot be enforced on a row, is refused by name when an app asks for
//! it. None is ignored. Scopes only narrow: what they leave is decided by policy as it is without them.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use carekeep_kernel::ResourceId;
use serde::Deserialize;

use crate::{Action, Class, ResourceKind};

/// A scope that is not given here, by name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the scope is not given here: see scopes_supported in /.well-known/smart-configuration")]
pub struct UnknownScope {
    /// The scope as asked for.
    pub scope: String,
}

/// Whose data a scope is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The one patient of the launch.
    Patient,
    /// What the person may see.
    User,
    /// What the program may see.
    System,
}

impl Level {
    const ALL: [(&'static str, Self); 3] =
        [("patient", Self::Patient), ("user", Self::User), ("system", Self::System)];

    /// Its name in a scope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }
}

/// Which of create, read, update, delete, search: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interactions(u8);

impl Interactions {
    const LETTERS: &'static [u8] = b"cruds";
    const READ: Self = Self(0b1_0010);
    const WRITE: Self = Self(0b0_1101);
    const EVERY: Self = Self(0b1_1111);

    /// `read`, `write`, `*` of version 1, or letters of `cruds` in this order, each once at most.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => return Some(Self::READ),
            "write" => return Some(Self::WRITE),
            "*" => return Some(Self::EVERY),
            "" => return None,
            _ => {}
        }
        let (mut bits, mut next) = (0_u8, 0);
        for letter in text.bytes() {
            let place = Self::LETTERS.iter().position(|known| *known == letter)?;
            if place < next {
                return None;
            }
            bits |= 1 << place;
            next = place + 1;
        }
        Some(Self(bits))
    }

    /// The interaction that an action is; nothing for what is no FHIR interaction, which no scope gives.
    fn of(action: Action) -> Option<Self> {
        let place = match action {
            Action::Create => 0,
            Action::Read | Action::VersionRead | Action::History => 1,
            Action::Update => 2,
            Action::Delete => 3,
            Action::Search => 4,
            _ => return None,
        };
        Some(Self(1 << place))
    }

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn only_looks(self) -> bool {
        Self::READ.contains(self)
    }

    /// The letters, in the order of `cruds`.
    pub fn letters(self) -> impl Iterator<Item = char> {
        Self::LETTERS
            .iter()
            .enumerate()
            .filter(move |(place, _)| self.0 & (1 << place) != 0)
            .map(|(_, letter)| char::from(*letter))
    }
}

/// A scope on resources.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessScope {
    /// Whose data.
    pub level: Level,
    /// Of which kind; nothing is every kind that is served.
    pub kind: Option<ResourceKind>,
    /// What may be done.
    pub interactions: Interactions,
    /// Only with this category, `system|code`.
    pub category: Option<String>,
}

/// Kinds whose `category` is a list of CodeableConcepts, so that a scope can name one.
const SORTED: &[ResourceKind] = &[
    ResourceKind::Observation,
    ResourceKind::Condition,
    ResourceKind::DiagnosticReport,
    ResourceKind::DocumentReference,
    ResourceKind::MedicationRequest,
];

fn is_served(kind: ResourceKind) -> bool {
    kind.is_phi() || kind.class() == Class::DirectoryEntry
}

impl AccessScope {
    fn parse(text: &str) -> Option<Self> {
        let (level, rest) = text.split_once('/')?;
        let level = Level::ALL.iter().find(|(name, _)| *name == level)?.1;
        let (kind, rest) = rest.split_once('.')?;
        let kind = match kind {
            "*" => None,
            name => Some(name.parse::<ResourceKind>().ok().filter(|kind| is_served(*kind))?),
        };
        let (letters, query) = match rest.split_once('?') {
            Some((letters, query)) => (letters, Some(query)),
            None => (rest, None),
        };
        let interactions = Interactions::parse(letters)?;
        let category = match query {
            None => None,
            Some(query) => {
                let (system, code) = query.strip_prefix("category=")?.split_once('|')?;
                let plain = |text: &str| !text.is_empty() && !text.contains(['&', '|', ',', '%', '=', '?']);
                let enforced = kind.is_some_and(|kind| SORTED.contains(&kind)) && interactions.only_looks();
                if !(plain(system) && plain(code) && enforced) {
                    return None;
                }
                Some(format!("{system}|{code}"))
            }
        };
        Some(Self { level, kind, interactions, category })
    }

    fn covers(&self, other: &Self) -> bool {
        self.level == other.level
            && self.kind.is_none_or(|kind| other.kind == Some(kind))
            && self.interactions.contains(other.interactions)
            && (self.category.is_none() || self.category == other.category)
    }

    fn is_about(&self, action: Action, kind: ResourceKind) -> bool {
        is_served(kind)
            && self.kind.is_none_or(|own| own == kind)
            && Interactions::of(action).is_some_and(|wanted| self.interactions.contains(wanted))
            // Nobody's data: an app of one patient looks professionals up, and writes none.
            && (self.level != Level::Patient || kind.is_phi() || !is_write(action))
    }
}

const fn is_write(action: Action) -> bool {
    matches!(action, Action::Create | Action::Update | Action::Delete)
}

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SmartScope {
    /// On resources.
    Access(AccessScope),
    /// `launch`: the context of the place that the app was opened from.
    Launch,
    /// `launch/patient`: the person picks a patient.
    LaunchPatient,
    /// `openid`
    OpenId,
    /// `fhirUser`
    FhirUser,
    /// `profile`
    Profile,
    /// `offline_access`
    Offline,
    /// `online_access`
    Online,
}

const WORDS: &[(&str, SmartScope)] = &[
    ("launch", SmartScope::Launch),
    ("launch/patient", SmartScope::LaunchPatient),
    ("openid", SmartScope::OpenId),
    ("fhirUser", SmartScope::FhirUser),
    ("profile", SmartScope::Profile),
    ("offline_access", SmartScope::Offline),
    ("online_access", SmartScope::Online),
];

/// What remains of a row for an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// What policy says.
    All,
    /// What policy says, if the row has one of these categories.
    Categories(Vec<String>),
    /// Nothing.
    Nothing,
}

/// The scopes of an app, a request or a token, in the spelling in which they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSet(Vec<(String, SmartScope)>);

impl ScopeSet {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its spelling.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SmartScope)> {
        self.0.iter().map(|(text, scope)| (text.as_str(), scope))
    }

    /// Whether this word is one of them.
    #[must_use]
    pub fn has(&self, word: &SmartScope) -> bool {
        self.0.iter().any(|(_, scope)| scope == word)
    }

    fn access(&self) -> impl Iterator<Item = &AccessScope> {
        self.0.iter().filter_map(|(_, scope)| match scope {
            SmartScope::Access(access) => Some(access),
            _ => None,
        })
    }

    /// Whether a scope is about data of this level.
    #[must_use]
    pub fn has_level(&self, level: Level) -> bool {
        self.access().any(|access| access.level == level)
    }

    /// Whether it needs to be said which patient it is about.
    #[must_use]
    pub fn needs_patient(&self) -> bool {
        let told = self.has(&SmartScope::Launch) || self.has(&SmartScope::LaunchPatient);
        told || self.has_level(Level::Patient)
    }

    /// The first of `asked` that these scopes do not cover.
    #[must_use]
    pub fn first_beyond<'a>(&self, asked: &'a Self) -> Option<&'a str> {
        let covered = |scope: &SmartScope| match scope {
            SmartScope::Access(wanted) => self.access().any(|own| own.covers(wanted)),
            word => self.has(word),
        };
        asked.0.iter().find(|(_, scope)| !covered(scope)).map(|(text, _)| text.as_str())
    }

    /// Those of these scopes that are chosen, by spelling; nothing if another one is chosen.
    #[must_use]
    pub fn only(&self, chosen: &BTreeSet<&str>) -> Option<Self> {
        let kept: Vec<_> =
            self.0.iter().filter(|(text, _)| chosen.contains(text.as_str())).cloned().collect();
        (kept.len() == chosen.len()).then_some(Self(kept))
    }

    /// Whether any row of a kind could remain.
    #[must_use]
    pub fn may_ever(&self, action: Action, kind: ResourceKind) -> bool {
        self.access().any(|access| access.is_about(action, kind))
    }

    /// Whether all that remains of a kind is about the patient of the launch.
    #[must_use]
    pub fn one_patient_only(&self, action: Action, kind: ResourceKind) -> bool {
        kind.is_phi()
            && self
                .access()
                .filter(|access| access.is_about(action, kind))
                .all(|access| access.level == Level::Patient)
    }

    /// What remains of a row that is about `patient`, for an app that was launched for `context`.
    #[must_use]
    pub fn within(
        &self,
        action: Action,
        kind: ResourceKind,
        patient: Option<ResourceId>,
        context: Option<ResourceId>,
    ) -> Within {
        let reaches = |access: &&AccessScope| {
            access.is_about(action, kind)
                && (access.level != Level::Patient
                    || (kind.is_phi() && context.is_some() && patient == context)
                    || !kind.is_phi())
        };
        let mut categories = Vec::new();
        for access in self.access().filter(reaches) {
            match &access.category {
                None => return Within::All,
                Some(category) => categories.push(category.clone()),
            }
        }
        if categories.is_empty() { Within::Nothing } else { Within::Categories(categories) }
    }
}

/// The scopes of a token with the patient that its app was opened for: what they leave of what policy gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    scopes: ScopeSet,
    context: Option<ResourceId>,
}

impl Narrowing {
    /// Puts them together.
    #[must_use]
    pub const fn new(scopes: ScopeSet, context: Option<ResourceId>) -> Self {
        Self { scopes, context }
    }

    /// Whether any row of a kind could remain.
    #[must_use]
    pub fn may_ever(&self, action: Action, kind: ResourceKind) -> bool {
        self.scopes.may_ever(action, kind)
    }

    /// What remains of a row that is about `patient`.
    #[must_use]
    pub fn within(&self, action: Action, kind: ResourceKind, patient: Option<ResourceId>) -> Within {
        self.scopes.within(action, kind, patient, self.context)
    }

    /// About whom a search is that was to be about `asked`; nothing stands for everybody.
    #[must_use]
    pub fn patients(
        &self,
        action: Action,
        kind: ResourceKind,
        asked: Option<&[ResourceId]>,
    ) -> Option<Vec<ResourceId>> {
        if !self.scopes.one_patient_only(action, kind) {
            return asked.map(<[ResourceId]>::to_vec);
        }
        let asked_for = |own: &ResourceId| asked.is_none_or(|asked| asked.contains(own));
        Some(self.context.into_iter().filter(asked_for).collect())
    }
}

#[derive(Deserialize, Default)]
struct Sorted<'b> {
    #[serde(borrow, default)]
    category: Vec<Concept<'b>>,
}

#[derive(Deserialize)]
struct Concept<'b> {
    #[serde(borrow, default)]
    coding: Vec<Coding<'b>>,
}

/// Borrowed where it can be, from what its owner wipes.
#[derive(Deserialize)]
struct Coding<'b> {
    #[serde(borrow, default)]
    system: Cow<'b, str>,
    #[serde(borrow, default)]
    code: Cow<'b, str>,
}

/// Whether a resource, as JSON, has one of these categories, each `system|code`. One that does not have the shape has none.
#[must_use]
pub fn has_category(body: &[u8], wanted: &[String]) -> bool {
    let Sorted { category } = serde_json::from_slice(body).unwrap_or_default();
    let is_wanted = |coding: &Coding<'_>| {
        wanted.iter().any(|wanted| wanted.split_once('|') == Some((&*coding.system, &*coding.code)))
    };
    category.iter().flat_map(|concept| &concept.coding).any(is_wanted)
}

impl FromStr for ScopeSet {
    type Err = UnknownScope;

    /// Scopes separated by blanks (RFC 6749 section 3.3); one that is there twice counts once.
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let mut scopes: Vec<(String, SmartScope)> = Vec::new();
        for one in text.split(' ').filter(|one| !one.is_empty()) {
            if scopes.iter().any(|(known, _)| known == one) {
                continue;
            }
            let word = WORDS.iter().find(|(word, _)| *word == one).map(|(_, scope)| scope.clone());
            let scope = word
                .or_else(|| AccessScope::parse(one).map(SmartScope::Access))
                .ok_or_else(|| UnknownScope { scope: one.to_owned() })?;
            scopes.push((one.to_owned(), scope));
        }
        Ok(Self(scopes))
    }
}

impl fmt::Display for ScopeSet {
    /// As in a token answer: separated by blanks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (text, _)) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
