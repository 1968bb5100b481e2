//! What a client certificate says: a site or a person, as a URI in the subject alternative names
//! (RFC 5280, 4.2.1.6): `wardround://site/<id>`, `wardround://user/<id>?role=lead`. The subject's
//! common name repeats the id for people who look at the certificate; it is never read back.

use std::fmt;
use std::str::FromStr;

use wardround_core::clock::Timestamp;
use wardround_core::ids::{Role, SiteId, UserId};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::PkiError;

/// Whom a certificate stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A hospital's agent.
    Site(SiteId),
    /// A person.
    User {
        /// Their id.
        name: UserId,
        /// What they may do.
        role: Role,
    },
}

/// A certificate's serial number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serial(Vec<u8>);

/// A caller whose certificate was verified in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Whom the certificate stands for.
    pub identity: Identity,
    /// The certificate's serial number, for revoking this one alone.
    pub serial: Serial,
    /// When the certificate ends; open connections are cut then.
    pub not_after: Timestamp,
}

/// Reads identities out of certificates.
#[derive(Debug)]
pub struct PeerIdentity;

impl PeerIdentity {
    /// Reads who a certificate stands for. It does not verify: the handshake did, or `Authority`
    /// signed it.
    ///
    /// # Errors
    /// [`PkiError::NoIdentity`] when the certificate can't be parsed or carries none, or more than
    /// one, of our URIs.
    pub fn from_certificate(der: &[u8]) -> Result<Peer, PkiError> {
        let none = |why: String| PkiError::NoIdentity(why);
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| none(format!("not X.509 ({error})")))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| none(format!("unreadable alternative names ({error})")))?
            .ok_or_else(|| none("it has no alternative names".into()))?;
        let ours: Vec<&str> = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) if uri.starts_with("wardround:") => Some(*uri),
                _ => None,
            })
            .collect();
        let &[uri] = ours.as_slice() else {
            return Err(none(format!("it has {} wardround names instead of one", ours.len())));
        };
        Ok(Peer {
            identity: uri.parse()?,
            serial: Serial(certificate.tbs_certificate.raw_serial().to_vec()),
            not_after: Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1000)),
        })
    }
}

impl Identity {
    /// The id alone, without saying whose.
    pub fn name(&self) -> &str {
        match self {
            Identity::Site(site) => site.as_str(),
            Identity::User { name, .. } => name.as_str(),
        }
    }
}

/// The URI in the certificate.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Site(site) => write!(f, "wardround://site/{site}"),
            Identity::User { name, role } => write!(f, "wardround://user/{name}?role={role}"),
        }
    }
}

impl FromStr for Identity {
    type Err = PkiError;

    fn from_str(uri: &str) -> Result<Self, PkiError> {
        let wrong = |why: String| PkiError::NoIdentity(format!("'{uri}': {why}"));
        if let Some(site) = uri.strip_prefix("wardround://site/") {
            return SiteId::parse(site).map(Identity::Site).map_err(|e| wrong(e.to_string()));
        }
        let Some((name, role)) =
            uri.strip_prefix("wardround://user/").and_then(|rest| rest.split_once("?role="))
        else {
            return Err(wrong("neither a site nor a user with a role".into()));
        };
        Ok(Identity::User {
            name: UserId::parse(name).map_err(|e| wrong(e.to_string()))?,
            role: role.parse().map_err(|e: <Role as FromStr>::Err| wrong(e.to_string()))?,
        })
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for Serial {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_round_trip() {
        let site = Identity::Site(SiteId::parse("vidir_modern").unwrap());
        assert_eq!(site.to_string(), "wardround://site/vidir_modern");
        let user = Identity::User { name: UserId::parse("ada").unwrap(), role: Role::Auditor };
        assert_eq!(user.to_string(), "wardround://user/ada?role=auditor");
        for identity in [site, user] {
            assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
        }
    }

    #[test]
    fn near_misses_are_no_identity() {
        for uri in [
            "wardround://site/",
            "wardround://site/../a",
            "wardround://site/a?role=lead",
            "wardround://user/ada",
            "wardround://user/ada?role=root",
            "wardround://user/ada?role=lead&role=operator",
            "https://site/a",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri}");
        }
    }
}
