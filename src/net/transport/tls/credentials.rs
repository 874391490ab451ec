//! What a node proves by TLS that it belongs to the cluster with: its certificate, its key, and the CA.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::words::of_certificate;
use crate::net::file::{self, Problem};

/// Most bytes of a file of certificates or a key: far more than a chain, or the CAs of a company, take.
pub const MAX_PEM: usize = 1024 * 1024;

/// The files that a node's part in TLS is read from, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the node, then those between it and the CA.
    pub cert: PathBuf,
    /// The key of the certificate, which its owner alone can read.
    pub key: PathBuf,
    /// The certificates of the CA that has signed those of all nodes; several while one follows another.
    pub ca: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is unfit.
    #[error("{what} file `{}`: {why}", path.display())]
    Unfit {
        /// What it is for: `certificate`, `key` or `CA`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A file cannot be read.
    #[error("{what} file `{}` cannot be read: {source}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a node proves by TLS that it belongs to the cluster with, and by which it verifies that of others. Read once:
/// a node that is to have another certificate is started anew. Nothing of it is shown.
#[derive(Clone)]
pub struct Credentials {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be read or has not what it should; when others than its owner can get at the key, it is
    /// not that of the certificate, or the certificate is none that another node with this CA would take now.
    pub fn read(files: &TlsFiles) -> Result<Credentials, TlsError> {
        let chain = certificates("certificate", &files.cert)?;
        let ca = certificates("CA", &files.ca)?;
        let bytes = read("key", &files.key, true)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            let why = format!("there is no key in it that can be used ({error}); it has to be PEM, without a password");
            unfit("key", &files.key, why)
        })?;
        let made = Credentials::new(&chain, &ca, key, Some(UnixTime::now()));
        made.map_err(|Wrong(file, why)| match file {
            File::Cert => unfit("certificate", &files.cert, why),
            File::Key => unfit("key", &files.key, why),
            File::Ca => unfit("CA", &files.ca, why),
        })
    }

    /// Of what is in the files. The certificate is verified as of `now`, if that is given.
    pub(super) fn new(
        chain: &[CertificateDer<'static>],
        ca: &[CertificateDer<'static>],
        key: PrivateKeyDer<'static>,
        now: Option<UnixTime>,
    ) -> Result<Credentials, Wrong> {
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            let added = roots.add(certificate.clone());
            added.map_err(|error| Wrong(File::Ca, format!("a certificate in it cannot be used: {error}")))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| Wrong(File::Ca, error.to_string()))?;
        if let (Some(now), Some((own, between))) = (now, chain.split_first()) {
            // Nobody would take it: better to say so here than that each peer does.
            verifier
                .verify_client_cert(own, between, now)
                .map_err(|error| Wrong(File::Cert, of_certificate(&error)))?;
        }
        let wrong_key = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(_) => Wrong(File::Key, "it is not that of the certificate".to_owned()),
            other => Wrong(File::Key, format!("it cannot be used: {other}")),
        };
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(VERSIONS)
            .map_err(wrong_key)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.to_vec(), key.clone_key())
            .map_err(wrong_key)?;
        let mut server = server(provider)
            .map_err(wrong_key)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.to_vec(), key)
            .map_err(wrong_key)?;
        // Who takes up a session of before is not asked for its certificate, which may not be good any more.
        client.resumption = Resumption::disabled();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Credentials { client: Arc::new(client), server: Arc::new(server) })
    }
}

/// The one version that is spoken: all nodes are of one build.
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn server(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(provider).with_protocol_versions(VERSIONS)
}

/// What is wrong, and in which of the files.
#[derive(Debug)]
pub(super) struct Wrong(pub File, pub String);

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Cert,
    Key,
    Ca,
}

fn unfit(what: &'static str, path: &Path, why: String) -> TlsError {
    TlsError::Unfit { what, path: path.to_owned(), why }
}

fn read(what: &'static str, path: &Path, private: bool) -> Result<Vec<u8>, TlsError> {
    match file::read(path, private, MAX_PEM + 1) {
        Ok(bytes) if bytes.len() > MAX_PEM => Err(unfit(what, path, format!("it is longer than {MAX_PEM} bytes"))),
        Ok(bytes) => Ok(bytes),
        Err(Problem::Unfit(why)) => Err(unfit(what, path, why)),
        Err(Problem::File(_, source)) => Err(TlsError::File { what, path: path.to_owned(), source }),
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(what, path, false)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unfit(what, path, "there is no certificate in it; it has to be PEM".to_owned())),
        Err(error) => Err(unfit(what, path, format!("it cannot be read as PEM: {error}"))),
    }
}
