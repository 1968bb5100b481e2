//! Invite tokens: what the lead sends to a hospital so that it can join once. The token carries the
//! start of the root's fingerprint, so the joiner checks the coordinator before it says anything; there
//! is no trust on first use.
//!
//! Text form: `wr1.<secret, 32 bytes in base64url>.<first 16 bytes of the root's SHA-256 in hex>`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wardround_core::digest::Digest;

use crate::pki::{Fingerprint, FingerprintPrefix};

const VERSION: &str = "wr1";

/// A one-time secret and the root it belongs to. `Debug` and `Display` show no secret; the text that
/// is sent comes from [`InviteToken::reveal`].
#[derive(Clone)]
pub struct InviteToken {
    secret: [u8; 32],
    pin: FingerprintPrefix,
}

/// SHA-256 of a token's secret: what the coordinator stores. 32 random bytes can't be guessed back
/// from it.
#[derive(Debug, Clone, Copy)]
pub struct InviteHash(Digest);

/// Why a text is no invite token. It never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Not three parts after a known version.
    #[error(
        "an invite token has the form wr1.<secret>.<fingerprint>; check that it was copied whole"
    )]
    Form,
    /// A token of a later version.
    #[error("this invite token is of version '{0}', this program knows wr1: install a newer one")]
    Version(String),
    /// The secret isn't 32 bytes of base64url.
    #[error("the invite token's secret is damaged; check that it was copied whole")]
    Secret,
    /// The fingerprint isn't 32 hexadecimal digits.
    #[error("the invite token's fingerprint is damaged; check that it was copied whole")]
    Fingerprint,
}

impl InviteToken {
    /// Draws a token from the operating system's generator.
    ///
    /// # Panics
    /// When the operating system has no randomness to give; nothing is secure then.
    pub fn generate(root: &Fingerprint) -> Self {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).expect("the operating system gives randomness");
        Self { secret, pin: root.prefix() }
    }

    /// Parses the text form; white space around it is ignored.
    ///
    /// # Errors
    /// [`InviteError`] says which part is damaged.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let (version, rest) = text.trim().split_once('.').ok_or(InviteError::Form)?;
        if version != VERSION {
            let like_ours = version.len() <= 4 && version.starts_with("wr");
            return Err(if like_ours {
                InviteError::Version(version.to_owned())
            } else {
                InviteError::Form
            });
        }
        let (secret, pin) = rest.split_once('.').ok_or(InviteError::Form)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| InviteError::Secret)?;
        Ok(Self {
            secret: secret.try_into().map_err(|_| InviteError::Secret)?,
            pin: pin.parse().map_err(|_| InviteError::Fingerprint)?,
        })
    }

    /// The text form, secret included: for the one person it is meant for.
    pub fn reveal(&self) -> String {
        format!("{VERSION}.{}.{}", URL_SAFE_NO_PAD.encode(self.secret), self.pin)
    }

    /// What the coordinator stores and looks up.
    pub fn hash(&self) -> InviteHash {
        InviteHash(Digest::of(&self.secret))
    }

    /// Which root the coordinator must show.
    pub fn pin(&self) -> FingerprintPrefix {
        self.pin
    }
}

impl FromStr for InviteToken {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        Self::parse(text)
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteToken({VERSION}.***.{})", self.pin)
    }
}

impl InviteHash {
    /// Takes a stored hash.
    pub fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest, for storing.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for InviteHash {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for InviteHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_mail_and_hides_in_logs() {
        let root = Fingerprint::of(b"root");
        let token = InviteToken::generate(&root);
        let text = token.reveal();
        let back = InviteToken::parse(&format!("  {text}\r\n")).unwrap();
        assert!(back.hash() == token.hash());
        assert!(back.pin().matches(&root));
        let secret = text.split('.').nth(1).unwrap();
        assert!(!format!("{token:?}").contains(secret));
        assert!(InviteToken::generate(&root).hash() != token.hash());
    }

    #[test]
    fn damage_is_named_and_never_echoed() {
        let text = InviteToken::generate(&Fingerprint::of(b"root")).reveal();
        let parts: Vec<&str> = text.split('.').collect();
        let parse = |text: String| InviteToken::parse(&text).unwrap_err();
        assert_eq!(parse(format!("wr1.{}.{}", &parts[1][1..], parts[2])), InviteError::Secret);
        assert_eq!(parse(format!("wr1.{}.{}", parts[1], &parts[2][1..])), InviteError::Fingerprint);
        assert_eq!(parse(format!("wr1.{}", parts[1])), InviteError::Form);
        assert_eq!(
            parse(format!("wr2.{}.{}", parts[1], parts[2])),
            InviteError::Version("wr2".into())
        );
        assert_eq!(parse(format!("{}.wr1.{}", parts[1], parts[2])), InviteError::Form);
    }
}
