//! Fingerprints of root certificates: what two people compare by phone, and what an invite pins.

use std::fmt;
use std::str::FromStr;

use wardround_core::digest::Digest;

use super::PkiError;

/// SHA-256 of a certificate's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(Digest);

/// The first 16 bytes of a [`Fingerprint`]. 128 bits are enough: whoever forges needs a second
/// preimage, since the honest root is fixed before the attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FingerprintPrefix([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Digest::of(certificate))
    }

    /// The part that an invite carries.
    pub fn prefix(&self) -> FingerprintPrefix {
        let mut first = [0; 16];
        first.copy_from_slice(&self.0.as_bytes()[..16]);
        FingerprintPrefix(first)
    }

    /// For reading aloud: `sha256:1f2e 3d4c ...`, sixteen groups of four digits.
    pub fn grouped(&self) -> String {
        let digits = self.0.to_string();
        let groups: Vec<String> = digits
            .as_bytes()
            .chunks(4)
            .map(|group| group.iter().map(|&byte| char::from(byte)).collect())
            .collect();
        format!("sha256:{}", groups.join(" "))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// Takes what [`Fingerprint::grouped`] and `Display` print, with spaces, colons or line breaks
/// between the digits, in either case.
impl FromStr for Fingerprint {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let wrong = || PkiError::Fingerprint { digits: 64, found: text.to_owned() };
        let digits: String = text
            .trim()
            .strip_prefix("sha256:")
            .ok_or_else(wrong)?
            .chars()
            .filter(|c| !c.is_whitespace() && *c != ':')
            .collect();
        digits.to_lowercase().parse().map(Self).map_err(|_| wrong())
    }
}

impl FingerprintPrefix {
    /// Whether a fingerprint starts with these 16 bytes.
    pub fn matches(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.prefix() == *self
    }
}

impl fmt::Display for FingerprintPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for FingerprintPrefix {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| PkiError::Fingerprint { digits: 32, found: text.to_owned() })?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_read_back() {
        let print = Fingerprint::of(b"a root");
        assert_eq!(print.grouped().parse::<Fingerprint>().unwrap(), print);
        assert_eq!(
            print
                .to_string()
                .to_uppercase()
                .replace("SHA256", "sha256")
                .parse::<Fingerprint>()
                .unwrap(),
            print
        );
        assert_eq!(print.grouped().split(' ').count(), 16);
        assert!("sha256:12".parse::<Fingerprint>().is_err());
        assert!(print.to_string()[7..].parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_prefix_matches_its_own_root_only() {
        let print = Fingerprint::of(b"a root");
        let prefix: FingerprintPrefix = print.prefix().to_string().parse().unwrap();
        assert!(prefix.matches(&print));
        assert!(!prefix.matches(&Fingerprint::of(b"another")));
    }
}
