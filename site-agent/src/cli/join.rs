//! `wardround-site join`: from an invitation to a key and a certificate of one's own.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use wardround_core::clock::{Clock, SystemClock};
use wardround_core::read::quoted;
use wardround_net::client::{Address, Endpoint, Trust};
use wardround_net::invite::InviteToken;
use wardround_net::pki::{Fingerprint, Wallet, certificate_from_pem};
use wardround_net::retry::{Policy as Patience, retrying};
use wardround_privacy::policy::Policy;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::site::{HomeArgument, door};
use super::{os, with_runtime};
use crate::config::{Home, SiteConfig};

/// The environment's variable with the token.
const TOKEN: &str = "WARDROUND_TOKEN";

/// Exchange an invitation for this site's own key and certificate
///
/// The token is asked for, or read from --token-file or from the environment variable
/// WARDROUND_TOKEN; it is never given on the command line, where other users could see it.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// Address of the coordinator, name:port; the one in site.toml when left out
    #[arg(value_name = "COORDINATOR")]
    coordinator: Option<Address>,
    /// File with the token; - reads standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Join although this home has an identity that is still valid; the new one replaces it
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    pub output: Output,
}

impl Join {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let home = at.home()?;
        let address = self.address(&home)?;
        os::private_folder(home.folder()).and_then(|()| home.create()).map_err(|error| {
            Failure::bad_input(format!("can't make {}: {error}", home.folder().display()))
        })?;
        let wallet = Wallet::open(home.identity())?;
        if let Ok(enrolled) = wallet.load()
            && enrolled.me.not_after > SystemClock.now()
            && !self.again
        {
            return Err(Failure::bad_input(format!(
                "this home has an identity already, valid until {}; to replace it use --again",
                enrolled.me.not_after.to_rfc3339()
            )));
        }
        let token = self.token()?;
        let enrolled = with_runtime(join(&home, &wallet, address.clone(), &token))?;

        let root = Fingerprint::of(&enrolled.ca).grouped();
        let site_file = home.site_file();
        let written = write_sample(&site_file, &address)?;
        let data = json!({
            "site": enrolled.site,
            "coordinator": address.to_string(),
            "ca_fingerprint": root,
            "not_after": enrolled.not_after,
            "site_file": site_file,
        });
        self.output.print("join", &data, || {
            let file = if written { "fill in" } else { "look through" };
            format!(
                "joined {address} as '{}'\n\n\
                 the consortium's root certificate has the fingerprint\n  {root}\n\
                 Compare it by telephone with what the study's lead reads out. If it differs, somebody\n\
                 else answered: {}\n\n\
                 next:\n  1. {file} {}\n  2. {}\n  3. {}\n",
                enrolled.site,
                at.command("leave"),
                site_file.display(),
                at.command("check --study STUDY.toml"),
                at.command("run"),
            )
        })?;
        Ok(Exit::Done)
    }

    fn address(&self, home: &Home) -> Result<Address, Failure> {
        match (&self.coordinator, home.site_file().exists()) {
            (Some(address), false) => Ok(address.clone()),
            (None, false) => Err(Failure::bad_input(
                "no coordinator is named: give its address, as in `wardround-site join name:443`",
            )),
            (given, true) => {
                let known = SiteConfig::load(home)?.coordinator.address;
                match given {
                    Some(given) if *given != known => Err(Failure::bad_input(format!(
                        "{} names the coordinator {known}, the command {given}; make them agree",
                        home.site_file().display()
                    ))),
                    _ => Ok(known),
                }
            }
        }
    }

    fn token(&self) -> Result<InviteToken, Failure> {
        let text = match (&self.token_file, std::env::var(TOKEN)) {
            (Some(file), _) if file == Path::new("-") => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).map_err(Failure::bad_input)?;
                text
            }
            (Some(file), _) => fs::read_to_string(file).map_err(|error| {
                Failure::bad_input(format!("can't read the token in {}: {error}", file.display()))
            })?,
            (None, Ok(text)) => text,
            (None, Err(_)) if io::stdin().is_terminal() => {
                eprint!("token: ");
                io::stderr().flush().map_err(Failure::internal)?;
                let mut text = String::new();
                io::stdin().read_line(&mut text).map_err(Failure::bad_input)?;
                text
            }
            (None, Err(_)) => {
                return Err(Failure::bad_input(format!(
                    "no token: give a file with --token-file, or set {TOKEN}"
                )));
            }
        };
        InviteToken::parse(&text).map_err(Failure::bad_input)
    }
}

/// What came of it.
struct Joined {
    site: String,
    ca: Vec<u8>,
    not_after: String,
}

impl Joined {
    /// The root is public: it may leave this struct.
    fn of(enrolled: &wardround_net::pki::Enrolled, site: String) -> Self {
        let not_after = enrolled.me.not_after.to_rfc3339();
        Self { site, ca: enrolled.ca.to_vec(), not_after }
    }
}

async fn join(
    home: &Home,
    wallet: &Wallet,
    address: Address,
    token: &InviteToken,
) -> Result<Joined, Failure> {
    let endpoint = Endpoint::new(address, Trust::Pinned(token.pin()));
    // Says what is wrong before the token is shown to anybody.
    endpoint.probe().await?;
    let egress = door(home, Policy::default(), endpoint.connect_lazy())?;
    let request = wallet.request()?;
    let reply = retrying(Patience::BRISK, || egress.join(token.reveal(), request.clone())).await?;
    if reply.kind != "site" {
        return Err(Failure::connection(format!(
            "the invitation is for {} '{}', not for a site; ask for one made by `wardround site invite`",
            reply.kind, reply.id
        )));
    }
    let root = Fingerprint::of(&certificate_from_pem(&reply.ca_pem)?);
    if !token.pin().matches(&root) {
        return Err(Failure::connection(format!(
            "the coordinator sent a root with fingerprint {root}, the invitation is for another one"
        )));
    }
    let enrolled = wallet.accept(&reply.certificate_pem, &reply.ca_pem)?;
    Ok(Joined::of(&enrolled, reply.id))
}

/// Writes a site's file to fill in; returns whether there was none.
fn write_sample(path: &Path, address: &Address) -> Result<bool, Failure> {
    let written = fs::OpenOptions::new().write(true).create_new(true).open(path);
    match written.and_then(|mut file| file.write_all(sample(address).as_bytes())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::internal(format!("{}: {error}", path.display()))),
    }
}

fn sample(address: &Address) -> String {
    format!(
        r#"# What this site has and what its owner allows. Relative paths start at this file's folder.

[coordinator]
address = {address}

[data]
# A table as CSV, one row per image (or per patient), with a header.
manifest = "manifest.csv"
# Where image paths of the table start; the table's own folder when left out.
# images = "/data/images"
# Who issues the patient keys, when several hospitals share them; this site when left out.
# issuer = "registry"
# More rows with problems than this share stop the site.
# problem_share = 0.05

[columns]
# What the table calls a study's columns, where the names differ.
# diagnosis = "Diagnose"

[policy]
# The rules for what leaves. What isn't named here has its strict default; every line that loosens
# one stands in the ledger and on the report's first page.
# minimum_cohort = 10
# minimum_cell = 5
# wide_sums = "secure-aggregation-only"
"#,
        address = quoted(&address.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_site_file() {
        let address: Address = "c.example:8443".parse().unwrap();
        let config = SiteConfig::parse(&sample(&address), &Home::new("/h")).unwrap();
        assert_eq!(config.coordinator.address, address);
        assert_eq!(config.data.manifest, Path::new("/h/manifest.csv"));
        assert_eq!(config.policy, Policy::default());
    }
}
