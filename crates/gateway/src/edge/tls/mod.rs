//! TLS 1.2 and 1.3 with aws-lc-rs; ALPN `h2`, `http/1.1`; no early data, no client certificates.

mod dev;

use std::{io, path::PathBuf, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ResolvesServerCert,
    version::{TLS12, TLS13},
};

pub use dev::DevAuthority;

/// How a listener proves who it is.
#[derive(Debug, Clone)]
pub struct TlsConfig(pub(crate) Arc<ServerConfig>);

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}; check that the directory exists and belongs to this user")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The PEM text holds no certificate or no key.
    #[error(
        "no usable certificate or private key in the PEM text: give the chain, leaf first, and a PKCS#8 key"
    )]
    Pem,
    /// Certificate and key do not fit, or are of an unknown kind.
    #[error("certificate and key are refused: {0}; check that they belong together")]
    Rustls(#[from] rustls::Error),
    /// The self-made certificate could not be made.
    #[error("cannot make the development certificate: {0}; delete its directory and start again")]
    Make(#[from] rcgen::Error),
}

impl TlsConfig {
    /// One certificate for every name: `chain_pem` leaf first, `key_pem` its private key.
    ///
    /// # Errors
    /// [`TlsError`] if the texts are no PEM or do not belong together.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain_pem).collect::<Result<_, _>>().map_err(|_| TlsError::Pem)?;
        if chain.is_empty() {
            return Err(TlsError::Pem);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::Pem)?;
        let config = builder()?.with_single_cert(chain, key)?;
        Ok(Self::finish(config))
    }

    /// A certificate per server name. The place for custom domains: a resolver gives a certificate only for a host whose
    /// ownership is proven.
    ///
    /// # Errors
    /// [`TlsError::Rustls`] if the crypto provider lacks a protocol version.
    pub fn from_resolver(resolver: Arc<dyn ResolvesServerCert>) -> Result<Self, TlsError> {
        Ok(Self::finish(builder()?.with_cert_resolver(resolver)))
    }

    fn finish(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.max_early_data_size = 0;
        Self(Arc::new(config))
    }
}

type Builder = rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>;

fn builder() -> Result<Builder, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth())
}
