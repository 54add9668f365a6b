//! A panic says where it happened and nothing else: its text may hold what a handler was working on.

use std::sync::Once;

static INSTALLED: Once = Once::new();

/// Replaces the panic hook by one that logs the location only. Repeating it does nothing.
pub fn install_panic_hook() {
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let (file, line) = info.location().map_or(("unknown", 0), |at| (at.file(), at.line()));
            tracing::error!(target: "carekeep::panic", file, line, "a task panicked; its text is withheld");
        }));
    });
}
