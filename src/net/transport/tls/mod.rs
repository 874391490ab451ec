//! TLS over another transport: mutual, version 1.3, both sides verified by the CA of the cluster.
//!
//! The handshake of Skitter runs inside, as over every transport, so the cookie is needed, too. Who dials verifies that
//! the certificate is that of the host that was dialled, by name or address; who is dialled, that it is signed by the
//! CA: nodes are not bound to hosts, so there is nothing else to compare it with.

mod credentials;
mod stream;
#[cfg(test)]
mod tests;
mod words;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use credentials::{Credentials, MAX_PEM, TlsError, TlsFiles};
use stream::{Ground, TlsStream};

use super::{BoxFuture, BoxStream, CONNECT_TIMEOUT, Listener, Transport};

/// TLS over another transport.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<dyn Transport>,
    credentials: Credentials,
}

impl Tls {
    /// TLS over this transport.
    pub fn new(inner: Arc<dyn Transport>, credentials: Credentials) -> Tls {
        Tls { inner, credentials }
    }
}

impl Transport for Tls {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let name = name(host)?;
            let stream = self.inner.connect(host, port).await?;
            let connector = TlsConnector::from(Arc::clone(&self.credentials.client));
            let connecting = connector.connect(name, Ground::new(stream)).into_fallible();
            let connected = timeout(CONNECT_TIMEOUT, connecting);
            match connected.await? {
                Ok(stream) => Ok(Box::new(TlsStream::open(stream.into())) as BoxStream),
                Err((error, ground)) => Err(ground.part(error).await),
            }
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let inner = self.inner.listen(address).await?;
            let acceptor = TlsAcceptor::from(Arc::clone(&self.credentials.server));
            Ok(Box::new(TlsListener { inner, acceptor }) as Box<dyn Listener>)
        })
    }
}

/// Where connections come in. The handshake of TLS is not done here, where it would hold up the next one, but by
/// [`Stream::begin`](super::Stream::begin), with the same limits as the one inside of it.
struct TlsListener {
    inner: Box<dyn Listener>,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, address) = self.inner.accept().await?;
            let stream = TlsStream::accepting(self.acceptor.clone(), Ground::new(stream));
            Ok((Box::new(stream) as BoxStream, address))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_address()
    }
}

/// What a certificate has to be for. The zone of an address belongs to this host, and to no certificate.
fn name(host: &str) -> io::Result<ServerName<'static>> {
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Ok(ServerName::from(address));
    }
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no certificate can be for a host of this name"))
}
