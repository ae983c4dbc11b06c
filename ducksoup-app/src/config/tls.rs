// SPDX-License-Identifier: MPL-2.0

//! The certificate of `--cert` and `--key`, read once at the start.

use super::{Args, ConfigError, set};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What a TLS connection is accepted with.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// For an acceptor.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }

    /// The certificate that was typed, if one was.
    pub(super) fn read(args: &Args, working: &Path) -> Result<Option<Self>, ConfigError> {
        let (cert, key) = match (set(args.cert.as_deref()), set(args.key.as_deref())) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert, key),
            (Some(_), None) => {
                return Err(ConfigError::Needs { variable: "--cert", needs: "--key" });
            }
            (None, Some(_)) => {
                return Err(ConfigError::Needs { variable: "--key", needs: "--cert" });
            }
        };
        let refuse_cert = |reason: String| refuse("--cert", cert, reason);
        let refuse_key = |reason: String| refuse("--key", key, reason);
        let certificates: Vec<_> = CertificateDer::pem_file_iter(working.join(cert))
            .and_then(Iterator::collect)
            .map_err(|error| refuse_cert(sentence(error, "a certificate")))?;
        if certificates.is_empty() {
            return Err(refuse_cert(sentence(PemError::NoItemsFound, "a certificate")));
        }
        let private = PrivateKeyDer::from_pem_file(working.join(key))
            .map_err(|error| refuse_key(sentence(error, "a private key without a password")))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse_cert(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(certificates, private)
            .map_err(|error| match error {
                rustls::Error::InvalidCertificate(error) => {
                    refuse_cert(format!("cannot be used: {error:?}"))
                }
                rustls::Error::InconsistentKeys(_) => {
                    refuse_key("does not belong to the certificate of --cert".to_owned())
                }
                error => refuse_key(format!("cannot be used: {error}")),
            })?;
        // WebSockets are opened over HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self(Arc::new(config))))
    }
}

/// Neither certificate nor key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn refuse(flag: &'static str, file: &str, reason: String) -> ConfigError {
    ConfigError::Certificate { flag, file: file.to_owned(), reason }
}

fn sentence(error: PemError, what: &str) -> String {
    match error {
        PemError::Io(error) => format!("cannot be read: {error}"),
        PemError::NoItemsFound => format!("holds no PEM text of {what}"),
        error => format!("is no good PEM text: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

    fn made() -> CertifiedKey<KeyPair> {
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
    }

    fn read(cert: &str, key: &str) -> Result<Option<Tls>, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("cert.pem", cert), ("key.pem", key)] {
            if !text.is_empty() {
                std::fs::write(folder.path().join(name), text).expect("written");
            }
        }
        let args =
            Args { cert: Some("cert.pem".into()), key: Some("key.pem".into()), ..Args::default() };
        Tls::read(&args, folder.path())
    }

    #[test]
    fn a_certificate_and_its_key_are_taken() {
        let own = made();
        let tls = read(&own.cert.pem(), &own.signing_key.serialize_pem()).expect("good");
        assert_eq!(format!("{tls:?}"), "Some(Tls(…))");
        let chain = format!("{}{}", own.cert.pem(), made().cert.pem());
        assert!(read(&chain, &own.signing_key.serialize_pem()).expect("good").is_some());
        assert!(Tls::read(&Args::default(), Path::new("/")).expect("good").is_none());
    }

    #[test]
    fn files_that_cannot_be_used_are_told_by_their_flag() {
        let (own, other) = (made(), made());
        let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (cert, key, start) in [
            ("", key.as_str(), "--cert: cert.pem: cannot be read: "),
            ("no PEM\n", &key, "--cert: cert.pem: holds no PEM text of a certificate"),
            (&key, &key, "--cert: cert.pem: holds no PEM text of a certificate"),
            (broken, &key, "--cert: cert.pem: is no good PEM text: "),
            (hollow, &key, "--cert: cert.pem: cannot be used: "),
            (&cert, "", "--key: key.pem: cannot be read: "),
            (&cert, &cert, "--key: key.pem: holds no PEM text of a private key"),
            (&cert, &locked, "--key: key.pem: holds no PEM text of a private key"),
            (
                &cert,
                &other.signing_key.serialize_pem(),
                "--key: key.pem: does not belong to the certificate of --cert",
            ),
        ] {
            let error = read(cert, key).expect_err(start).to_string();
            assert!(error.starts_with(start), "{error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
        }
    }
}
