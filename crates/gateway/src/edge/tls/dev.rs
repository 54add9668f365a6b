//! A certificate authority for one developer's machine.
//!
//! It may sign for `localhost` and below only (a critical name constraint), so trusting it opens nothing else. Leaves
//! are made per server name while the process runs, because clients do not take a wildcard directly below a top-level
//! name (`*.localhost`), and are never stored.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use carekeep_kernel::{Clock, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime};

use super::{TlsConfig, TlsError};
use crate::edge::host::NormalisedHost;

const AUTHORITY_DAYS: i64 = 825;
const LEAF_DAYS: i64 = 90;
/// A new authority is made when the stored one has less than this left.
const RENEW_DAYS: i64 = 100;
/// Most leaves kept in memory.
const LEAVES: usize = 1_024;
const EXPIRES: &str = "# Carekeep development authority, expires at Unix time ";

/// The authority, its key in memory and in `dev-ca.key` (mode 0600).
pub struct DevAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_path: PathBuf,
    clock: Arc<dyn Clock>,
    leaves: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl fmt::Debug for DevAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevAuthority").field("certificate", &self.certificate_path).finish_non_exhaustive()
    }
}

impl DevAuthority {
    /// Loads the authority from `dir`, or makes one if there is none that lasts long enough.
    ///
    /// # Errors
    /// [`TlsError`] if the files cannot be read or written.
    pub fn load_or_create(dir: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let certificate_path = dir.join("dev-ca.pem");
        let key_path = dir.join("dev-ca.key");
        let now = OffsetDateTime::from(clock.now());
        let key = match load(&certificate_path, &key_path, now) {
            Some(key) => key,
            None => create(dir, &certificate_path, &key_path, now)?,
        };
        let issuer = Issuer::new(authority_params(now), key);
        Ok(Arc::new(Self { issuer, certificate_path, clock, leaves: Mutex::default() }))
    }

    /// The file to give to clients that should trust this machine, for example `curl --cacert`.
    #[must_use]
    pub fn certificate_path(&self) -> &Path {
        &self.certificate_path
    }

    /// A listener's configuration that answers for `localhost` and every name one label below it.
    ///
    /// # Errors
    /// [`TlsError`] if no certificate can be made.
    pub fn tls(self: &Arc<Self>) -> Result<TlsConfig, TlsError> {
        self.leaf("localhost")?;
        TlsConfig::from_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>)
    }

    fn leaf(&self, name: &str) -> Result<Arc<CertifiedKey>, TlsError> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(name) {
            return Ok(Arc::clone(leaf));
        }
        let leaf = Arc::new(self.make_leaf(name)?);
        if leaves.len() >= LEAVES {
            leaves.clear();
        }
        leaves.insert(name.to_owned(), Arc::clone(&leaf));
        Ok(leaf)
    }

    fn make_leaf(&self, name: &str) -> Result<CertifiedKey, TlsError> {
        let now = OffsetDateTime::from(self.clock.now());
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = named("Carekeep development server");
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(LEAF_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::new(vec![certificate.der().clone()], any_supported_type(&der)?))
    }
}

impl ResolvesServerCert for DevAuthority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = match hello.server_name() {
            None => "localhost".to_owned(),
            Some(name) => NormalisedHost::parse(name).ok()?.as_str().to_owned(),
        };
        let below = name.strip_suffix(".localhost").is_some_and(|label| !label.contains('.'));
        if name == "localhost" || below { self.leaf(&name).ok() } else { None }
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn authority_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Carekeep development authority (this machine only)");
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".into()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

fn load(certificate: &Path, key: &Path, now: OffsetDateTime) -> Option<KeyPair> {
    let text = fs::read_to_string(certificate).ok()?;
    let expires: i64 = text.lines().next()?.strip_prefix(EXPIRES)?.parse().ok()?;
    if expires < (now + Duration::days(RENEW_DAYS)).unix_timestamp() {
        return None;
    }
    KeyPair::from_pem(&fs::read_to_string(key).ok()?).ok()
}

fn create(dir: &Path, certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<KeyPair, TlsError> {
    fs::create_dir_all(dir).map_err(|source| TlsError::File { path: dir.into(), source })?;
    let pair = KeyPair::generate()?;
    let params = authority_params(now);
    let expires = Timestamp::from(params.not_after).as_seconds();
    let pem = params.self_signed(&pair)?.pem();
    write(key, &pair.serialize_pem(), 0o600)?;
    write(certificate, &format!("{EXPIRES}{expires}\n{pem}"), 0o644)?;
    Ok(pair)
}

/// Replaces the file in one step: a second process sees the old text or the new one.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let fresh = path.with_extension("new");
    let result = (|| -> io::Result<()> {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    result.map_err(|source| TlsError::File { path: path.into(), source })
}
