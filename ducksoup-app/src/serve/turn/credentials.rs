// SPDX-License-Identifier: MPL-2.0

//! Time-limited credentials, and nonces that need no memory. Pure.
//!
//! The scheme is that of "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest-00,
//! section 2.2): the user name is `<unix time of expiry>:<name>`, the password is
//! base64(HMAC-SHA1(secret, user name)). So nothing is kept about who was given what, and a name
//! nobody was given has no password.

use crate::config::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a nonce counts as fresh: the hour of RFC 8656, section 5; the one before is taken too.
const NONCE_WINDOW: u64 = 3600;
/// Longest user name that is looked at: 20 digits, a colon, and 20 digits of a connection.
const MAX_NAME: usize = 64;

/// Gives credentials and knows its own.
#[derive(Debug)]
pub(super) struct Credentials {
    secret: Secret,
    lifetime: Duration,
}

/// What one participant is given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credential {
    /// `<unix time of expiry>:<name>`.
    pub(super) username: String,
    /// Its password.
    pub(super) password: Secret,
}

impl Credentials {
    /// Credentials under a secret of this run, each good for `lifetime`.
    pub(super) fn new(secret: Secret, lifetime: Duration) -> Self {
        Self { secret, lifetime }
    }

    /// A credential for that name; `now` in seconds since 1970.
    pub(super) fn issue(&self, name: &str, now: u64) -> Credential {
        let expiry = now.saturating_add(self.lifetime.as_secs());
        let username = format!("{expiry}:{name}");
        let password = Secret::new(STANDARD.encode(self.sign(&username)));
        Credential { username, password }
    }

    /// The password of a user name, while it is good.
    pub(super) fn password(&self, username: &str, now: u64) -> Option<Secret> {
        if username.len() > MAX_NAME {
            return None;
        }
        let (expiry, _) = username.split_once(':')?;
        let expiry: u64 = expiry.parse().ok()?;
        (now < expiry).then(|| Secret::new(STANDARD.encode(self.sign(username))))
    }

    /// A nonce for that client.
    pub(super) fn nonce(&self, client: SocketAddr, now: u64) -> String {
        self.nonce_of(client, now / NONCE_WINDOW)
    }

    /// Whether that client has been given this nonce, and not too long ago.
    pub(super) fn is_fresh(&self, nonce: &str, client: SocketAddr, now: u64) -> bool {
        let window = now / NONCE_WINDOW;
        // No secret: whoever may see it has been sent it.
        nonce == self.nonce_of(client, window)
            || window.checked_sub(1).is_some_and(|before| nonce == self.nonce_of(client, before))
    }

    fn nonce_of(&self, client: SocketAddr, window: u64) -> String {
        // No user name begins with a letter.
        let signature = self.sign(&format!("nonce {window} {client}"));
        STANDARD.encode(&signature[..12])
    }

    fn sign(&self, text: &str) -> [u8; 20] {
        #[allow(clippy::expect_used)] // HMAC takes keys of any length (RFC 2104, section 2)
        let mut hmac = Hmac::<Sha1>::new_from_slice(self.secret.reveal().as_bytes())
            .expect("a key of any length");
        hmac.update(text.as_bytes());
        hmac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::new(Secret::new("north".into()), Duration::from_secs(1500))
    }

    #[test]
    fn a_credential_is_what_the_turn_rest_memo_says() {
        let credential = credentials().issue("12", 1_000_000);
        assert_eq!(credential.username, "1001500:12");
        // printf 1001500:12 | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential.password.reveal(), "PC6/qsZWC58r4VLENZM6BRcsfcI=");
    }

    #[test]
    fn a_credential_is_good_until_it_expires_and_forged_names_have_none() {
        let credentials = credentials();
        let given = credentials.issue("12", 1_000_000);
        let password = |name: &str, now| credentials.password(name, now);
        assert_eq!(password(&given.username, 1_000_000), Some(given.password));
        assert!(password(&given.username, 1_001_499).is_some());
        assert_eq!(password(&given.username, 1_001_500), None, "expired");
        for name in ["", "12", ":12", "12:", "x:12", "-1:12", "1e9:12", "99999999999999999999999:1"]
        {
            assert_eq!(password(name, 1_000_000), None, "{name}");
        }
        assert_eq!(password(&format!("2000000:{}", "9".repeat(100)), 1), None);
        let longer = password("2000000:12", 1_000_000).expect("a password");
        assert_ne!(longer, credentials.issue("12", 1_000_000).password, "moved expiry");
        let other = Credentials::new(Secret::new("south".into()), Duration::from_secs(1500));
        assert_ne!(other.issue("12", 1_000_000), credentials.issue("12", 1_000_000));
    }

    #[test]
    fn a_nonce_is_for_one_client_and_grows_old() {
        let credentials = credentials();
        let client: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let neighbour: SocketAddr = "192.0.2.7:5001".parse().expect("an address");
        let nonce = credentials.nonce(client, 7200);
        assert!(nonce.len() <= 128, "RFC 8489, section 14.10");
        assert!(credentials.is_fresh(&nonce, client, 7200));
        assert!(credentials.is_fresh(&nonce, client, 7200 + 2 * NONCE_WINDOW - 1));
        assert!(!credentials.is_fresh(&nonce, client, 7200 + 2 * NONCE_WINDOW));
        assert!(!credentials.is_fresh(&nonce, neighbour, 7200));
        assert!(!credentials.is_fresh("", client, 7200));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let credentials = credentials();
        let shown = format!("{credentials:?} {:?}", credentials.issue("1", 0));
        assert!(!shown.contains("north"), "{shown}");
        assert!(!shown.contains(credentials.issue("1", 0).password.reveal()), "{shown}");
    }
}
