//! What went wrong in TLS, as a refusal: in words that say what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::net::handshake::{MAGIC, ONE_SIDED};
use crate::net::{Reason, Refusal};

/// Why there is no session with a peer, given what failed in TLS and the first bytes that came. An error of the
/// connection below stays what it is.
pub fn explain(error: io::Error, first: &[u8]) -> io::Error {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let how = if first.is_empty() { "without a word" } else { "in the middle of it" };
            let detail = format!("it closed the connection in the handshake of TLS, {how}; has it TLS?");
            return io::Error::other(Refusal::new(Reason::NotSkitter, detail));
        }
        return error;
    };
    let refusal = if first == MAGIC {
        Refusal::new(Reason::Incompatible, ONE_SIDED)
    } else {
        Refusal::new(Reason::NotSkitter, of(inner))
    };
    io::Error::other(refusal)
}

fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(_) => of_certificate(error),
        Error::NoCertificatesPresented => "it has shown no certificate".to_owned(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS".to_owned(),
        Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired) => {
            "it does not speak TLS 1.3".to_owned()
        }
        Error::AlertReceived(alert) => of_alert(*alert),
        other => format!("TLS: {other}"),
    }
}

/// What is wrong with a certificate.
pub fn of_certificate(error: &Error) -> String {
    let Error::InvalidCertificate(error) = error else { return format!("the certificate cannot be used: {error}") };
    match error {
        // The signature is bad where another CA has the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is not signed by the CA of --tls-ca".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; is the clock right?".to_owned()
        }
        CertificateError::NotValidForName => "the certificate is not for the host that was dialled".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() { "no host".to_owned() } else { presented.join(", ") };
            format!("the certificate is not for `{}`, but for {names}", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not for this side of a connection; its extended key usage has to be both serverAuth \
             and clientAuth, or none"
                .to_owned()
        }
        other => format!("the certificate cannot be used: {other}"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it is not signed by the CA that the other node has"
        }
        AlertDescription::CertificateExpired => "it has expired there",
        AlertDescription::CertificateRequired => "it was not shown",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "it is not for this host",
        AlertDescription::UnsupportedCertificate => {
            "its extended key usage has to be both serverAuth and clientAuth, or none"
        }
        other => return format!("it ended the handshake of TLS: {other:?}"),
    };
    format!("it does not take this node's certificate: {why}")
}
