//! hyper's HTTP/1 server, and nothing around it: without TLS, or with the settings of the product's public listener.

use std::{error::Error, net::SocketAddr, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// The settings of `carekeep_gateway::edge::TlsConfig`: aws-lc-rs, TLS 1.3 and 1.2 in rustls's order of cipher suites, a
/// P-256 certificate, no early data, no client certificates.
pub(crate) fn tls() -> Result<TlsAcceptor, Box<dyn Error>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Listens on a free port of the loopback.
pub(crate) async fn start(router: Router, tls: Option<TlsAcceptor>) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let _ = socket.set_nodelay(true);
            let (router, tls) = (router.clone(), tls.clone());
            tokio::spawn(async move {
                let Some(tls) = tls else { return connection(socket, router).await };
                // A client that does not finish its handshake has given up.
                if let Ok(stream) = tls.accept(socket).await {
                    connection(stream, router).await;
                }
            });
        }
    });
    Ok(address)
}

async fn connection<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: I, router: Router) {
    // An error here is the client's end of the connection.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(io), TowerToHyperService::new(router)).await;
}
