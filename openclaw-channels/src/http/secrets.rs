//! Which secrets are good enough: long, no placeholders, used for one thing.

use openclaw_core::{Error, ErrorKind, Result, Secret};

const SHORTEST: usize = 24;

/// What people leave in a configuration instead of a secret.
const PLACEHOLDERS: &[&str] = &[
    "undefined",
    "null",
    "none",
    "nil",
    "changeme",
    "changeit",
    "replaceme",
    "placeholder",
    "secret",
    "password",
    "passwort",
    "passw0rd",
    "token",
    "apikey",
    "webhook",
    "signing",
    "openclaw",
    "default",
    "example",
    "sample",
    "insecure",
    "test",
    "dummy",
    "todo",
    "fixme",
    "your",
    "here",
    "my",
    "key",
    "admin",
    "letmein",
    "qwerty",
    "abc",
    "xyz",
    "x",
];

/// Refuses a secret that somebody could guess. The message names the role, never the secret.
pub(super) fn check(role: &str, secret: &Secret) -> Result<()> {
    let text = secret.expose();
    if is_placeholder(text) {
        return Err(weak(role, "is a placeholder: make a random one"));
    }
    if text.len() < SHORTEST {
        return Err(weak(role, "is shorter than 24 bytes: make a random one"));
    }
    let mut distinct: Vec<char> = text.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 8 {
        return Err(weak(role, "repeats a few characters: make a random one"));
    }
    Ok(())
}

/// Refuses a secret that is used for two roles. Whoever knows it as one could act as the other.
pub(super) fn check_distinct(roles: &[(String, &Secret)]) -> Result<()> {
    for (at, (role, secret)) in roles.iter().enumerate() {
        let before = roles.iter().take(at);
        if let Some((other, _)) = before.into_iter().find(|(_, s)| s.expose() == secret.expose()) {
            return Err(weak(role, &format!("is also the secret of {other}: give each its own")));
        }
    }
    Ok(())
}

fn weak(role: &str, why: &str) -> Error {
    Error::new(ErrorKind::ValidationError, format!("the secret of {role} {why}"))
}

fn is_placeholder(text: &str) -> bool {
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    let mut rest = letters.to_ascii_lowercase();
    let plain = text.to_ascii_lowercase();
    if PLACEHOLDERS.contains(&plain.as_str()) {
        return true;
    }
    for word in PLACEHOLDERS {
        rest = rest.replace(word, "");
    }
    // All digits is no placeholder by itself: a random number may be long enough.
    rest.is_empty() && !letters.is_empty() || text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_refused() {
        for text in [
            "",
            "undefined",
            "null",
            "changeme",
            "secret",
            "ChangeMe-ChangeMe-ChangeMe-123",
            "your_webhook_signing_secret_here",
            "short-but-random-9fk2",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abababababababababababababababab",
            "                                ",
        ] {
            assert!(check("hook shop", &Secret::new(text)).is_err(), "{text:?}");
        }
        for text in ["whsec_8fK2mQz0sVb7LxT4pYc1Nw", "correct horse battery staple"] {
            assert!(check("hook shop", &Secret::new(text)).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn the_message_never_holds_the_secret() {
        let e = check("hook shop", &Secret::new("short-9fk2")).unwrap_err();
        assert!(!format!("{e:?}").contains("9fk2") && e.to_string().contains("hook shop"));
    }

    #[test]
    fn one_secret_has_one_role() {
        let (a, b) = (Secret::new("8fK2mQz0sVb7LxT4pYc1NwAA"), Secret::new("something else"));
        let role = |name: &str| name.to_owned();
        assert!(check_distinct(&[(role("a"), &a), (role("b"), &b)]).is_ok());
        assert!(check_distinct(&[(role("a"), &a), (role("b"), &b), (role("c"), &a)]).is_err());
    }
}
