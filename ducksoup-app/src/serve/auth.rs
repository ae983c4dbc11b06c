// SPDX-License-Identifier: MPL-2.0

//! Who may see the protected pages: HTTP basic authentication. Pure.

use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What becomes of a request for a protected page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It is shown.
    Granted,
    /// Login and password are asked for.
    Asked,
    /// It is closed: the operator has not set a password.
    Closed,
}

/// Decides by the request's `Authorization` header.
pub(crate) fn access(config: &Config, authorization: Option<&str>) -> Access {
    if !config.protected_pages_open() {
        return Access::Closed;
    }
    let expected = format!("{}:{}", config.test_login, config.test_password.reveal());
    match authorization.and_then(credentials) {
        Some(given) if same(&given, expected.as_bytes()) => Access::Granted,
        _ => Access::Asked,
    }
}

/// `login:password` of a `Basic` header.
fn credentials(header: &str) -> Option<Vec<u8>> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}

/// Compares in a time that does not tell where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Args;

    fn config(mode: &str, login: Option<&str>, password: Option<&str>) -> Config {
        let working = tempfile::tempdir().expect("a folder");
        let args = Args {
            mode: Some(mode.into()),
            test_login: login.map(str::to_owned),
            test_password: password.map(str::to_owned),
            ..Args::default()
        };
        Config::new(&args, working.path()).expect("valid")
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    #[test]
    fn the_right_login_and_password_open() {
        let own = config("PROD", Some("me"), Some("a:b é"));
        for (header, expected) in [
            (Some(basic("me:a:b é")), Access::Granted),
            (Some(basic("me:a:b é").replace("Basic", "basic")), Access::Granted),
            (Some(basic("me:a:b")), Access::Asked),
            (Some(basic("you:a:b é")), Access::Asked),
            (Some(basic("")), Access::Asked),
            (Some("Bearer x".into()), Access::Asked),
            (Some("Basic !!!".into()), Access::Asked),
            (Some("Basic".into()), Access::Asked),
            (None, Access::Asked),
        ] {
            assert_eq!(access(&own, header.as_deref()), expected, "{header:?}");
        }
    }

    #[test]
    fn the_documented_password_opens_in_dev_mode_only() {
        let header = basic("ducksoup:ducksoup");
        let dev = config("DEV", None, None);
        let prod = config("PROD", None, None);
        assert_eq!(access(&dev, Some(&header)), Access::Granted);
        assert_eq!(access(&dev, None), Access::Asked);
        assert_eq!(access(&prod, Some(&header)), Access::Closed);
        assert_eq!(access(&prod, None), Access::Closed);
    }
}
