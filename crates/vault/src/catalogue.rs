//! The catalogue of actions: each is a type, so that a permit for one cannot be spent on another.
//!
//! The trait is sealed: no other crate can declare an action of its own, and with it a generous one.

use carekeep_policy::Action;

mod private {
    pub trait Closed {}
}

/// An action on health data.
pub trait Act: private::Closed + Send + Sync + 'static {
    /// The Cedar action that says whether it may be asked for at all, and its name in the ledger.
    const ACTION: Action;
    /// The Cedar action that decides each row: what a search finds is decided as if it were read by id.
    const ROW_ACTION: Action;
}

/// An action whose permit opens what it was granted for.
pub trait Opens: Act {}

/// An action whose permit lets a change be written.
pub trait Writes: Act {}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $action:ident, rows $row:ident, $power:ident;)+) => {$(
        $(#[$doc])*
        pub struct $name(());
        impl private::Closed for $name {}
        impl Act for $name {
            const ACTION: Action = Action::$action;
            const ROW_ACTION: Action = Action::$row;
        }
        impl $power for $name {}
    )+};
}

actions! {
    /// Read the present version of one resource.
    Read => Read, rows Read, Opens;
    /// Read an earlier version.
    VersionRead => VersionRead, rows VersionRead, Opens;
    /// Read all versions.
    History => History, rows History, Opens;
    /// Find resources.
    Search => Search, rows Read, Opens;
    /// Write a new resource.
    Create => Create, rows Create, Writes;
    /// Write a new version of a resource.
    Update => Update, rows Update, Writes;
    /// Mark a resource deleted; its versions stay.
    Delete => Delete, rows Delete, Writes;
    /// See the people of the tenant.
    ListPeople => ListPeople, rows ListPeople, Opens;
    /// Say who cares for a patient.
    AssignCareTeam => AssignCareTeam, rows AssignCareTeam, Writes;
}
