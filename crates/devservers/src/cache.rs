//! Where things are kept that cost time to make and can be made again.

use std::env;
use std::path::PathBuf;

/// The cache of the project: `$CAREKEEP_CACHE`, else `$XDG_CACHE_HOME/carekeep`, else `$HOME/.cache/carekeep`, else a
/// directory of this user under the system's temporary directory. `./dev` uses the same rule. Nothing in it is precious.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CAREKEEP_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("carekeep")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/carekeep")))
        .unwrap_or_else(|| {
            env::temp_dir().join(format!("carekeep-cache-{}", rustix::process::geteuid().as_raw()))
        })
}
