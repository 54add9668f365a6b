//! Apps as a tenant registers them.

use serde_json::Value;

use super::{
    jws::{self, KeySetError},
    redirect,
};

/// A closed list of words, as they are stored.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$one_doc:meta])* $one:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$one_doc])* $one,)+
        }

        impl $name {
            /// The stored name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$one => $word,)+
                }
            }

            /// Reads a name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($word => Some(Self::$one),)+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// How an app proves who it is at the token endpoint.
    Authentication {
        /// It cannot keep a secret: the code's proof key is all there is.
        Public = "none",
        /// `client_secret_basic` or `client_secret_post`.
        Secret = "client_secret",
        /// `private_key_jwt`.
        Key = "private_key_jwt",
    }
}

words! {
    /// Where a registration stands.
    ClientState {
        /// Nobody has looked at it: it gets no token.
        Pending = "pending",
        /// It may ask people for access.
        Approved = "approved",
        /// It gets no token, and the tokens that it had are dead for good.
        Disabled = "disabled",
    }
}

/// An app to register.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Its name, as people are asked for consent to it.
    pub name: String,
    /// How it proves who it is.
    pub authentication: Authentication,
    /// Its public keys, for `private_key_jwt`.
    pub keys: Option<Value>,
    /// Where people are sent back to; none for a program without people.
    pub redirect_uris: Vec<String>,
    /// Where it is opened from a chart.
    pub launch_uri: Option<String>,
    /// The scopes that it may ask for, which the caller has parsed.
    pub scopes: String,
    /// Whether it acts by itself, as a service account: SMART backend services.
    pub backend: bool,
}

/// Why an app cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The name is empty, too long or cannot be shown.
    #[error("a name has 1 to 100 characters that can be shown")]
    Name,
    /// A redirect or launch address that cannot be used.
    #[error(
        "an app with people needs one to ten redirect URIs: https, or http on loopback, without fragment; a program without people has none"
    )]
    Redirect,
    /// Keys that do not fit.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// The scope `launch` without a launch address, or the other way round.
    #[error("an app that is opened from a chart has a launch URI and may ask for the scope launch")]
    Launch,
    /// Keys without `private_key_jwt`, or the other way round, or a backend without keys.
    #[error(
        "private_key_jwt needs a key set, and a program without people needs private_key_jwt; nothing else has keys"
    )]
    Authentication,
}

impl Registration {
    /// Checks a registration.
    ///
    /// # Errors
    /// [`ClientError`], which says what to do.
    pub fn check(&self) -> Result<(), ClientError> {
        let name = self.name.trim();
        if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(ClientError::Name);
        }
        let expected = if self.backend { 0..=0 } else { 1..=10 };
        let addresses = self.redirect_uris.iter().chain(&self.launch_uri);
        let launched = self.backend && self.launch_uri.is_some();
        if launched
            || !expected.contains(&self.redirect_uris.len())
            || addresses.into_iter().any(|uri| redirect::check(uri).is_err())
        {
            return Err(ClientError::Redirect);
        }
        if self.launch_uri.is_some() != self.scopes.split(' ').any(|scope| scope == "launch") {
            return Err(ClientError::Launch);
        }
        match (self.authentication, &self.keys) {
            (Authentication::Key, Some(keys)) => {
                jws::key_set(keys)?;
                Ok(())
            }
            (Authentication::Public | Authentication::Secret, None) if !self.backend => Ok(()),
            _ => Err(ClientError::Authentication),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_what_cannot_be_kept_safe_is_not_registered() {
        let good = Registration {
            name: "Growth Chart".to_owned(),
            authentication: Authentication::Public,
            keys: None,
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            launch_uri: None,
            scopes: "patient/*.rs".to_owned(),
            backend: false,
        };
        assert_eq!(good.check(), Ok(()));
        let refused = |change: fn(&mut Registration)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.check()
        };
        assert_eq!(refused(|bad| bad.name = "  ".to_owned()), Err(ClientError::Name));
        assert_eq!(refused(|bad| bad.redirect_uris.clear()), Err(ClientError::Redirect));
        assert_eq!(
            refused(|bad| bad.redirect_uris[0] = "http://app.example/".to_owned()),
            Err(ClientError::Redirect)
        );
        assert_eq!(refused(|bad| bad.launch_uri = Some("app:x".to_owned())), Err(ClientError::Redirect));
        assert_eq!(refused(|bad| bad.scopes = "launch patient/*.rs".to_owned()), Err(ClientError::Launch));
        let launch: fn(&mut Registration) =
            |app| app.launch_uri = Some("https://app.example/launch".to_owned());
        assert_eq!(refused(launch), Err(ClientError::Launch));
        let both = |app: &mut Registration| {
            app.launch_uri = Some("https://app.example/launch".to_owned());
            app.scopes = "launch patient/*.rs".to_owned();
        };
        assert_eq!(refused(both), Ok(()));
        assert_eq!(refused(|bad| bad.authentication = Authentication::Key), Err(ClientError::Authentication));
        assert_eq!(
            refused(|bad| bad.keys = Some(serde_json::json!({"keys": []}))),
            Err(ClientError::Authentication)
        );
        let backend = |bad: &mut Registration| {
            bad.backend = true;
            bad.redirect_uris.clear();
        };
        assert_eq!(refused(backend), Err(ClientError::Authentication));
    }
}
