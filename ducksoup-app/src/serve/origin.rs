// SPDX-License-Identifier: MPL-2.0

//! Which pages may open a WebSocket. Pure.

use crate::config::Mode;

/// The port of pages that are developed beside the server (PROTOCOL "Starting").
const DEVELOPMENT_PORT: u16 = 8180;

/// The origins that may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    /// The operator's list, and in DEV mode the developer's own machine; `port` is the server's,
    /// `tls` whether it serves https.
    pub(crate) fn new(allowed: &[String], mode: Mode, port: u16, tls: bool) -> Self {
        let mut origins = allowed.to_vec();
        if mode == Mode::Dev {
            origins.extend([port, DEVELOPMENT_PORT].map(|port| format!("http://localhost:{port}")));
            if tls {
                origins.push(format!("https://localhost:{port}"));
            }
        }
        Self(origins)
    }

    /// Whether a page of this origin may. Exactly equal, or not at all.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_passes() {
        let listed = ["https://lab.example".to_owned()];
        let prod = Origins::new(&listed, Mode::Prod, 8100, true);
        let dev = Origins::new(&listed, Mode::Dev, 8100, false);
        let tls = Origins::new(&listed, Mode::Dev, 8100, true);
        for (origin, in_prod, in_dev, in_tls) in [
            ("https://lab.example", true, true, true),
            ("http://localhost:8100", false, true, true),
            ("http://localhost:8180", false, true, true),
            ("http://localhost:8101", false, false, false),
            ("https://localhost:8100", false, false, true),
            ("https://localhost:8180", false, false, false),
            ("http://lab.example", false, false, false),
            ("https://lab.example:444", false, false, false),
            ("https://lab.example.evil.org", false, false, false),
            ("https://evil.org/https://lab.example", false, false, false),
            ("null", false, false, false),
            ("", false, false, false),
        ] {
            assert_eq!(prod.allow(origin), in_prod, "{origin}");
            assert_eq!(dev.allow(origin), in_dev, "{origin}");
            assert_eq!(tls.allow(origin), in_tls, "{origin}");
        }
    }
}
