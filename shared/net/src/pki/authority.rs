//! The consortium's root: made once, then it signs the coordinator's own certificate and those of
//! sites and users. ECDSA P-256 throughout.
//!
//! Files in its folder: `ca.key` (owner only), `ca.pem`, and for the coordinator's own TLS
//! `server.pem` (key and chain in one file, owner only, so that they can't be torn apart). The key that signs archives
//! lies beside them ([`super::Signer`]).

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, ServerName};
use wardround_core::clock::Timestamp;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{
    Credentials, Fingerprint, Identity, Peer, PeerIdentity, PkiError, certificate_to_pem, later,
    moment,
};
use crate::files::{Access, write_atomically};

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the root lasts: longer than any consortium, since replacing it means enrolling anew.
const ROOT_LIFETIME: Duration = DAY.saturating_mul(365 * 30);
/// A clock at a hospital may run this far behind ours.
const CLOCK_SLACK: Duration = Duration::from_secs(5 * 60);
/// How long the coordinator's own certificate lasts; it is renewed in its last third.
pub const SERVER_LIFETIME: Duration = DAY.saturating_mul(90);
/// Usual lifetime of a site's certificate; agents rotate theirs in its last third.
pub const SITE_LIFETIME: Duration = DAY.saturating_mul(30);
/// Usual lifetime of a person's certificate.
pub const USER_LIFETIME: Duration = DAY.saturating_mul(90);

/// The consortium's certificate authority.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// A certificate just signed.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate as PEM, without the root.
    pub pem: String,
    /// What it says, with serial number and end.
    pub peer: Peer,
}

/// The names under which sites reach the coordinator: DNS names and IP addresses, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(BTreeSet<Host>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Dns(String),
    Ip(IpAddr),
}

impl Hosts {
    /// Parses names and addresses.
    ///
    /// # Errors
    /// [`PkiError::Host`] names the first that is neither, or '' when there is none.
    pub fn parse<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, PkiError> {
        let parsed = hosts.into_iter().map(Host::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if parsed.is_empty() {
            return Err(PkiError::Host(String::new()));
        }
        Ok(Self(parsed))
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, PkiError> {
        match ServerName::try_from(text) {
            Ok(ServerName::DnsName(name)) => Ok(Host::Dns(name.as_ref().to_lowercase())),
            Ok(ServerName::IpAddress(_)) => {
                text.parse().map(Host::Ip).map_err(|_| PkiError::Host(text.to_owned()))
            }
            _ => Err(PkiError::Host(text.to_owned())),
        }
    }
}

impl Authority {
    /// Opens the root in a folder, or makes it at the first start.
    ///
    /// # Errors
    /// [`PkiError::KeyMissing`] when only the certificate is there: a root is never replaced.
    pub fn open_or_create(folder: &Path, name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let (key_path, certificate_path) = (folder.join("ca.key"), folder.join("ca.pem"));
        let file = |path: &Path, source| PkiError::File { path: path.to_owned(), source };
        fs::create_dir_all(folder).map_err(|e| file(folder, e))?;
        if !key_path.exists() {
            if certificate_path.exists() {
                return Err(PkiError::KeyMissing { key: key_path, certificate: certificate_path });
            }
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write_atomically(&key_path, key.serialize_pem().as_bytes(), Access::Owner)
                .map_err(|e| file(&key_path, e))?;
        }
        let key = read_key(&key_path)?;
        if !certificate_path.exists() {
            // Also reached when a crash came between the two files: nobody has seen that root yet.
            let authority = Self::with_key(name, key, now)?;
            write_atomically(
                &certificate_path,
                authority.certificate_pem().as_bytes(),
                Access::Anyone,
            )
            .map_err(|e| file(&certificate_path, e))?;
            return Ok(authority);
        }
        let unreadable = |found: String| PkiError::Unreadable {
            path: certificate_path.clone(),
            expected: "root certificate",
            found,
        };
        let certificate = CertificateDer::from_pem_file(&certificate_path)
            .map_err(|e| unreadable(e.to_string()))?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|e| unreadable(e.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(unreadable("its key is not the one in ca.key".into()));
        }
        Ok(Self { issuer: Issuer::from_ca_cert_der(&certificate, key)?, certificate })
    }

    /// A root that lives in memory only, for tests and dry runs.
    ///
    /// # Errors
    /// Making the key failed.
    pub fn in_memory(name: &str, now: Timestamp) -> Result<Self, PkiError> {
        Self::with_key(name, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, now)
    }

    fn with_key(name: &str, key: KeyPair, now: Timestamp) -> Result<Self, PkiError> {
        let mut params = parameters(now, ROOT_LIFETIME)?;
        params.distinguished_name.push(DnType::CommonName, format!("Wardround consortium {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The root certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The root certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        certificate_to_pem(&self.certificate)
    }

    /// What sites compare out of band.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Signs a request (PKCS #10, DER) for an identity that the coordinator decided. Nothing of the
    /// request is used but its public key, after its signature was checked. The certificate starts
    /// five minutes back, for clocks that run behind.
    ///
    /// # Errors
    /// [`PkiError::Request`] when the request is malformed, its signature wrong or its key not P-256.
    pub fn issue(
        &self,
        request: &[u8],
        identity: &Identity,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Issued, PkiError> {
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
                .map_err(|error| PkiError::Request(error.to_string()))?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(PkiError::Request("its key is not ECDSA P-256".into()));
        }
        let mut params = parameters(now, lifetime)?;
        params.distinguished_name.push(DnType::CommonName, identity.name());
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued {
            pem: certificate_to_pem(certificate.der()),
            peer: PeerIdentity::from_certificate(certificate.der())?,
        })
    }

    /// The coordinator's own certificate, from `server.pem` in the folder; a new one (with a new key)
    /// is made when there is none, it lacks one of the hosts, another root signed it, or its last
    /// third has begun. While it serves,
    /// call [`Authority::renew_server`] once a day.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub fn server(
        &self,
        folder: &Path,
        hosts: &Hosts,
        now: Timestamp,
    ) -> Result<Credentials, PkiError> {
        let (chain, key) = self.server_pair(folder, hosts, now)?;
        Credentials::new(chain, key)
    }

    /// Renews a running server's certificate when it is due; new connections see the new one.
    ///
    /// # Errors
    /// As [`Authority::server`].
    pub fn renew_server(
        &self,
        running: &Credentials,
        folder: &Path,
        hosts: &Hosts,
        now: Timestamp,
    ) -> Result<(), PkiError> {
        let (chain, key) = self.server_pair(folder, hosts, now)?;
        running.replace(chain, key)
    }

    /// A server certificate with its own lifetime that is kept nowhere.
    ///
    /// # Errors
    /// Making the certificate failed.
    pub fn server_in_memory(
        &self,
        hosts: &Hosts,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Credentials, PkiError> {
        let (leaf, key) = self.issue_server(hosts, lifetime, now)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| PkiError::Request(error.to_owned()))?;
        Credentials::new(vec![leaf, self.certificate.clone()], key)
    }

    fn server_pair(
        &self,
        folder: &Path,
        hosts: &Hosts,
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let path = folder.join("server.pem");
        let usable = path.exists()
            && CertificateDer::from_pem_file(&path)
                .is_ok_and(|leaf| self.server_is_usable(&leaf, hosts, now));
        if !usable {
            let (leaf, key) = self.issue_server(hosts, SERVER_LIFETIME, now)?;
            let pem = format!(
                "{}{}{}",
                key.serialize_pem(),
                certificate_to_pem(&leaf),
                self.certificate_pem()
            );
            write_atomically(&path, pem.as_bytes(), Access::Owner)
                .map_err(|source| PkiError::File { path: path.clone(), source })?;
        }
        super::wallet::read_pair(&path)
    }

    fn server_is_usable(&self, leaf: &[u8], hosts: &Hosts, now: Timestamp) -> bool {
        let Ok((_, root)) = X509Certificate::from_der(&self.certificate) else { return false };
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
        if leaf.verify_signature(Some(root.public_key())).is_err() {
            return false;
        }
        let from = leaf.validity().not_before.timestamp();
        let to = leaf.validity().not_after.timestamp();
        let renew_at = to - (to - from) / 3;
        let seconds = now.0.div_euclid(1000);
        let held: BTreeSet<Host> = match leaf.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(host_of).collect(),
            _ => BTreeSet::new(),
        };
        from <= seconds && seconds < renew_at && hosts.0.is_subset(&held)
    }

    fn issue_server(
        &self,
        hosts: &Hosts,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<(CertificateDer<'static>, KeyPair), PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = parameters(now, lifetime)?;
        params.distinguished_name.push(DnType::CommonName, "Wardround coordinator");
        for host in &hosts.0 {
            params.subject_alt_names.push(match host {
                Host::Dns(name) => SanType::DnsName(name.clone().try_into()?),
                Host::Ip(address) => SanType::IpAddress(*address),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.der().clone(), key))
    }
}

fn host_of(name: &GeneralName<'_>) -> Option<Host> {
    match name {
        GeneralName::DNSName(name) => Some(Host::Dns((*name).to_owned())),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| Host::Ip(b.into())),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| Host::Ip(b.into())),
            _ => None,
        },
        _ => None,
    }
}

fn read_key(path: &Path) -> Result<KeyPair, PkiError> {
    let text = fs::read_to_string(path)
        .map_err(|source| PkiError::File { path: path.to_owned(), source })?;
    KeyPair::from_pem(&text).map_err(|error| PkiError::Unreadable {
        path: path.to_owned(),
        expected: "private key",
        found: error.to_string(),
    })
}

pub(super) fn parameters(
    now: Timestamp,
    lifetime: Duration,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = moment(now)? - CLOCK_SLACK;
    params.not_after = moment(later(now, lifetime))?;
    // 127 random bits, positive, never zero (RFC 5280, 4.1.2.2 allows 20 octets).
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
