//! Walks every path through the authentication state machine (BARS I6).
//!
//! An attacker *has* some proofs and not others. From what he has follow the events that he can cause; the walk finds
//! every state that he can reach with them, in any order and number.

use std::collections::{HashSet, VecDeque};

use carekeep_identity::{
    Aal, FactorKind,
    flow::{AuthState, Event, SessionState, counts_for_suspended, next},
};

/// What somebody can prove or open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Has {
    password: bool,
    totp: bool,
    recovery_code: bool,
    passkey: bool,
    /// An invitation link, which is all that reading somebody's e-mail can give.
    link: bool,
    /// What two administrators handed over for the recovery of an account, after the hold.
    recovery: bool,
    /// The account of the tenant's identity provider that the person is linked to; what it says is one factor.
    provider: bool,
    /// The same, where it says that it asked for two.
    provider_two: bool,
    /// The account that the proofs are of has factors already.
    set_up: bool,
    /// Willing and able to enrol new factors where that is allowed.
    enrols: bool,
    /// The account is suspended: its sessions are ended whenever it is.
    suspended: bool,
}

impl Has {
    fn all() -> impl Iterator<Item = Self> {
        (0_u16..2048).map(|bits| {
            let bit = |index: u8| bits >> index & 1 == 1;
            Self {
                password: bit(0),
                totp: bit(1),
                recovery_code: bit(2),
                passkey: bit(3),
                link: bit(4),
                set_up: bit(5),
                enrols: bit(6),
                recovery: bit(7),
                suspended: bit(8),
                provider: bit(9),
                provider_two: bit(10),
            }
        })
    }

    fn events(self) -> Vec<Event> {
        use FactorKind::{Passkey, Password, RecoveryCode, Totp};
        let proofs = [
            (self.password, Password),
            (self.totp, Totp),
            (self.recovery_code, RecoveryCode),
            (self.passkey, Passkey),
        ];
        let mut events: Vec<Event> =
            proofs.into_iter().filter(|(has, _)| *has).map(|(_, kind)| Event::Proven(kind)).collect();
        if self.link {
            events.push(Event::InviteAccepted { has_factors: self.set_up });
        }
        if self.recovery {
            events.push(Event::RecoveryRedeemed);
        }
        if self.provider {
            events.push(Event::VouchedFor { two_factors: false });
        }
        if self.provider_two {
            events.push(Event::VouchedFor { two_factors: true });
        }
        if self.enrols {
            events.extend([Password, Totp, RecoveryCode, Passkey].map(Event::Enrolled));
        }
        events.push(Event::Ended);
        // Until the suspension is lifted, which nothing does but the recovery.
        events.retain(|event| !self.suspended || *event == Event::Ended || counts_for_suspended(*event));
        events
    }

    fn reaches(self) -> HashSet<AuthState> {
        let begun = (AuthState::Anonymous, self);
        let mut seen = HashSet::from([AuthState::Anonymous]);
        let mut known = HashSet::from([begun]);
        let mut queue = VecDeque::from([begun]);
        while let Some((state, has)) = queue.pop_front() {
            for event in has.events() {
                if let Ok(after) = next(state, event) {
                    seen.insert(after);
                    let then = (after, has.after(event));
                    if known.insert(then) {
                        queue.push_back(then);
                    }
                }
            }
        }
        seen
    }

    /// What is left to prove after an event: a recovery deletes the old factors, and lifts a suspension.
    fn after(self, event: Event) -> Self {
        if event != Event::RecoveryRedeemed {
            return self;
        }
        let gone = Self { password: false, totp: false, recovery_code: false, passkey: false, ..self };
        Self { recovery: false, suspended: self.suspended && !counts_for_suspended(event), ..gone }
    }

    fn reaches_two_factors(self) -> bool {
        self.reaches().iter().any(|state| state.aal() >= Aal::Two)
    }
}

#[test]
fn bar_i6_level_2_is_reached_with_exactly_the_proofs_that_make_two_factors() {
    for has in Has::all() {
        let first = has.password || has.provider;
        let two_factors = has.passkey || has.provider_two || (first && (has.totp || has.recovery_code));
        let newcomer = has.link && !has.set_up && has.enrols;
        let recovered = has.recovery && has.enrols;
        let by_oneself = !has.suspended && two_factors;
        // A recovery lifts a suspension; whoever was invited and has an invitation still is a newcomer then.
        let newcomer = newcomer && (!has.suspended || has.recovery);
        assert_eq!(has.reaches_two_factors(), by_oneself || newcomer || recovered, "{has:?}");
    }
}

#[test]
fn bar_i6_no_path_leads_from_an_email_alone_to_an_account_that_is_set_up() {
    let mailbox = Has { link: true, set_up: true, enrols: true, ..Has::default() };
    // "Ended" is reached by giving up.
    assert_eq!(mailbox.reaches(), HashSet::from([AuthState::Anonymous, AuthState::Ended]));
    // The control: the same link is the beginning for a newcomer.
    assert!(Has { set_up: false, ..mailbox }.reaches_two_factors());
}

#[test]
fn bar_i6_nothing_that_somebody_learns_alone_leads_into_an_account_that_is_set_up() {
    let learner = Has { set_up: true, enrols: true, ..Has::default() };
    for (what, has) in [
        ("the login name or the address", learner),
        ("a link", Has { link: true, ..learner }),
        ("the password", Has { password: true, ..learner }),
        ("a recovery code", Has { recovery_code: true, ..learner }),
        ("a code of the app", Has { totp: true, ..learner }),
        ("the account of the provider", Has { provider: true, ..learner }),
        ("the account of the provider, and the password", Has { provider: true, password: true, ..learner }),
        ("mailbox and recovery code", Has { link: true, recovery_code: true, ..learner }),
        ("mailbox and password", Has { link: true, password: true, ..learner }),
        ("both codes", Has { totp: true, recovery_code: true, ..learner }),
    ] {
        assert!(!has.reaches_two_factors(), "{what}");
    }
    // The controls: two factors, and what two administrators hand over.
    assert!(Has { password: true, recovery_code: true, ..learner }.reaches_two_factors());
    assert!(Has { provider: true, totp: true, ..learner }.reaches_two_factors());
    assert!(Has { provider_two: true, ..learner }.reaches_two_factors());
    assert!(Has { recovery: true, ..learner }.reaches_two_factors());
}

#[test]
fn bar_i6_a_link_without_enrolling_two_factors_gives_nothing() {
    let link = Has { link: true, ..Has::default() };
    for state in link.reaches() {
        assert_eq!(state.aal(), Aal::None, "{state:?}");
    }
}

#[test]
fn no_path_leads_from_a_password_alone_to_level_2_not_even_by_enrolling() {
    for set_up in [false, true] {
        let thief = Has { password: true, set_up, enrols: true, ..Has::default() };
        assert!(!thief.reaches_two_factors());
        let with_link = Has { link: true, set_up: true, ..thief };
        assert!(!with_link.reaches_two_factors(), "nor together with the owner's e-mail");
    }
    assert!(Has { password: true, totp: true, ..Has::default() }.reaches_two_factors(), "the control");
}

#[test]
fn bar_i6_a_recovery_lets_nobody_in_who_does_not_enrol_two_factors() {
    let redeemed = Has { recovery: true, set_up: true, ..Has::default() };
    assert!(!redeemed.reaches_two_factors());
    // Nothing that was proven before counts: from there only enrolment leads on.
    let begun = next(AuthState::Anonymous, Event::RecoveryRedeemed).unwrap();
    assert_eq!(begun.aal(), Aal::None);
    for kind in [FactorKind::Password, FactorKind::Totp, FactorKind::Passkey, FactorKind::RecoveryCode] {
        assert!(next(begun, Event::Proven(kind)).is_err(), "{kind:?}");
    }
    assert!(Has { enrols: true, ..redeemed }.reaches_two_factors(), "the control");
    // It begins a session and continues none.
    for state in redeemed.reaches().into_iter().filter(|state| *state != AuthState::Anonymous) {
        assert!(next(state, Event::RecoveryRedeemed).is_err(), "{state:?}");
    }
}

#[test]
fn bar_i6_whoever_has_all_factors_of_somebody_who_is_suspended_gets_nowhere_and_the_recovered_owner_in() {
    let owned = Has {
        password: true,
        totp: true,
        recovery_code: true,
        passkey: true,
        set_up: true,
        ..Has::default()
    };
    assert!(owned.reaches_two_factors(), "the control");
    let thief = Has { suspended: true, enrols: true, link: true, ..owned };
    assert_eq!(thief.reaches(), HashSet::from([AuthState::Anonymous, AuthState::Ended]));
    let owner = Has { set_up: true, suspended: true, enrols: true, recovery: true, ..Has::default() };
    assert!(owner.reaches_two_factors());
}

#[test]
fn a_newcomer_becomes_active_only_with_a_passkey_or_with_password_and_codes() {
    use FactorKind::{Passkey, Password, Totp};
    let begun = next(AuthState::Anonymous, Event::InviteAccepted { has_factors: false }).unwrap();
    let after = |kinds: &[FactorKind]| {
        kinds.iter().try_fold(begun, |state, kind| next(state, Event::Enrolled(*kind))).map(AuthState::aal)
    };
    for too_little in [&[][..], &[Password], &[Totp], &[Password, Password], &[Totp, Totp]] {
        assert_eq!(after(too_little), Ok(Aal::None), "{too_little:?}");
    }
    for enough in [&[Passkey][..], &[Password, Totp], &[Totp, Password]] {
        assert_eq!(after(enough), Ok(Aal::Two), "{enough:?}");
    }
}

#[test]
fn a_recovery_code_lets_in_once_and_asks_for_a_new_factor() {
    let pending = next(AuthState::Anonymous, Event::Proven(FactorKind::Password)).unwrap();
    let inside = next(pending, Event::Proven(FactorKind::RecoveryCode)).unwrap();
    assert_eq!(inside, AuthState::Session(SessionState::Active { must_reenrol: true }));
    assert!(next(inside, Event::Proven(FactorKind::RecoveryCode)).is_err(), "it is not for step-up");
    let renewed = next(inside, Event::Enrolled(FactorKind::Totp)).unwrap();
    assert_eq!(renewed, AuthState::Session(SessionState::Active { must_reenrol: false }));
    let codes_only = next(inside, Event::Enrolled(FactorKind::RecoveryCode)).unwrap();
    assert_eq!(codes_only, inside, "new codes are not a new factor");
}

#[test]
fn nothing_leads_on_from_a_session_that_has_ended() {
    let everything = Has {
        password: true,
        totp: true,
        recovery_code: true,
        passkey: true,
        link: true,
        recovery: true,
        provider: true,
        provider_two: true,
        set_up: false,
        enrols: true,
        suspended: false,
    };
    for event in everything.events() {
        assert!(next(AuthState::Ended, event).is_err(), "{event:?}");
    }
}
