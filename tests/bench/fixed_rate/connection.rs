//! One HTTP/1.1 connection over TLS at a time.

use std::{net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Fault, targets::Target};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 200, body and all.
    Answered,
    /// Another status.
    Refused,
    /// No answer, or none that was complete.
    Failed,
}

/// Makes connections.
pub(crate) struct Client {
    address: SocketAddr,
    tls: TlsConnector,
}

pub(crate) type Connection = SendRequest<Full<Bytes>>;

impl Client {
    pub(crate) fn new(address: SocketAddr, authority: &Path) -> Result<Self, Fault> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // With a name the gateway would hold the connection to that one tenant.
        config.enable_sni = false;
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Fault> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, socket).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what went wrong shows at the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends one request; a connection that the server has closed meanwhile is opened anew, which takes its time.
    pub(crate) async fn ask(&self, connection: &mut Connection, target: &Target) -> Outcome {
        if connection.ready().await.is_err() {
            match self.connect().await {
                Ok(fresh) => *connection = fresh,
                Err(_) => return Outcome::Failed,
            }
        }
        let Ok(request) = request(target) else { return Outcome::Failed };
        let Ok(response) = connection.send_request(request).await else { return Outcome::Failed };
        let status = response.status();
        match response.into_body().collect().await {
            Ok(_) if status == StatusCode::OK => Outcome::Answered,
            Ok(_) => Outcome::Refused,
            Err(_) => Outcome::Failed,
        }
    }
}

fn request(target: &Target) -> Result<Request<Full<Bytes>>, http::Error> {
    let method = if target.body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(&target.path).header(header::HOST, &target.host);
    if let Some(token) = &target.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if target.body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json").header("carekeep-token", "body");
    }
    request.body(Full::from(target.body.clone().unwrap_or_default()))
}
