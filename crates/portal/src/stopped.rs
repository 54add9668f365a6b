//! What to do when signing in by the organisation's provider did not work: a page that says so without a script.

use axum::http::StatusCode;

/// Why it stopped, by the word of the address, and what to do.
pub(crate) struct Stop {
    /// The word.
    pub(crate) why: &'static str,
    /// Whether it was this request, or something that may be there again later.
    pub(crate) status: StatusCode,
    /// What happened.
    pub(crate) said: &'static str,
    /// What to do next.
    pub(crate) next: &'static str,
}

const STOPS: [Stop; 7] = [
    Stop {
        why: "away",
        status: StatusCode::SERVICE_UNAVAILABLE,
        said: "Your organisation's sign-in service cannot be reached just now.",
        next: "Nothing is lost. Try again in a few minutes, or sign in with your password or passkey.",
    },
    Stop {
        why: "refused",
        status: StatusCode::FORBIDDEN,
        said: "Your organisation's sign-in service did not let you in.",
        next: "If you did not stop it yourself, ask whoever looks after that service.",
    },
    Stop {
        why: "answer",
        status: StatusCode::FORBIDDEN,
        said: "The answer of your organisation's sign-in service was not accepted.",
        next: "Begin again. If it happens once more, tell your administrator.",
    },
    Stop {
        why: "nobody",
        status: StatusCode::FORBIDDEN,
        said: "Nobody who may sign in here is linked to that account.",
        next: "Sign in with your password or passkey and link the account on your account page, or ask your administrator.",
    },
    Stop {
        why: "taken",
        status: StatusCode::CONFLICT,
        said: "Somebody else here is linked to that account.",
        next: "Choose another account at the sign-in service, or ask your administrator.",
    },
    Stop {
        why: "none",
        status: StatusCode::NOT_FOUND,
        said: "Your organisation has no sign-in service of its own.",
        next: "Sign in with your password or passkey.",
    },
    Stop {
        why: "stale",
        status: StatusCode::FORBIDDEN,
        said: "This sign-in was not finished: it took too long, was finished already, or was begun in another browser.",
        next: "Begin again.",
    },
];

/// What to say for a word. Whoever comes without one that is known was not stopped by anything.
pub(crate) fn stop(why: &str) -> &'static Stop {
    const NOTHING: Stop = Stop {
        why: "",
        status: StatusCode::OK,
        said: "No sign-in is under way.",
        next: "Begin with one of the ways to sign in.",
    };
    STOPS.iter().find(|stop| stop.why == why).unwrap_or(&NOTHING)
}
