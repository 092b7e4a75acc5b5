//! TLS with a certificate authority that only the rehearsal knows: for clients that have no setting for another address
//! and have to be sent here by their hosts file.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::server::TlsStream;

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listener that speaks TLS as one host.
pub struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    authority: String,
}

impl Tls {
    /// Speaks as `host` on `listener`, with a certificate of a new authority. Its key is nowhere but here.
    pub fn new(listener: TcpListener, host: &str) -> Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority.distinguished_name.push(rcgen::DnType::CommonName, "echora-images rehearsal");
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?);
        let issuer = issuer.context("cannot make a certificate authority")?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec![host.to_owned()])
            .and_then(|leaf| leaf.signed_by(&key, &issuer))
            .with_context(|| format!("cannot make a certificate of {host}"))?;
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config
            .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .context("the certificate does not fit its key")?;
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), authority: issuer.pem() })
    }

    /// The authority's certificate as PEM, for `SSL_CERT_FILE` and the like.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // The plain listener waits out what keeps it from accepting.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
