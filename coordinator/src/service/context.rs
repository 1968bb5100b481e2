//! What all services share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tonic::{Request, Status};
use wardround_core::clock::{Clock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::{StudyId, UserId};
use wardround_net::pki::{Authority, Identity, Issued, SITE_LIFETIME, USER_LIFETIME};
use wardround_net::server::Caller;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::Gate;
use super::roles::{self, Call};
use crate::hub::Hub;
use crate::runner::Studies;
use crate::store::{NewCertificate, Store, StoreError};

/// Longest text in a status, in bytes: it travels percent-encoded in one header block.
const LONGEST_SENTENCE: usize = 4096;
/// A person's last call is written down at most this often.
const SEEN_EVERY_MS: i64 = 30_000;

/// What all services share.
pub struct Context {
    pub(super) store: Arc<Store>,
    pub(super) authority: Authority,
    pub(super) gate: Arc<Gate>,
    pub(super) hub: Arc<Hub>,
    pub(super) studies: Arc<Studies>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where keys and certificates lie.
    pub(super) pki: PathBuf,
    /// Where the first operator's token lies until it is used.
    pub(super) token_file: PathBuf,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) seen: Mutex<HashMap<UserId, Timestamp>>,
}

impl Context {
    /// The person who calls, if their role allows it; their visit is noted.
    pub(super) fn person<T>(&self, request: &Request<T>, call: Call) -> Result<UserId, Status> {
        let user = roles::person(request, call)?;
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(user.clone(), now);
        drop(seen);
        if before.is_none_or(|before| now.since_ms(before) > SEEN_EVERY_MS) {
            let agent = request.metadata().get("user-agent").and_then(|text| text.to_str().ok());
            let version = agent.and_then(version_of).unwrap_or_default();
            self.store.seen("user", user.as_str(), version, "", now).map_err(internal)?;
        }
        Ok(user)
    }

    /// Writes down that a person did something.
    pub(super) fn did(&self, user: &UserId, what: &str, subject: &str) -> Result<(), Status> {
        self.record(&format!("user:{user}"), what, subject)
    }

    /// Writes down that somebody did something.
    pub(super) fn record(&self, who: &str, what: &str, subject: &str) -> Result<(), Status> {
        self.store.record_deed(who, what, subject, self.clock.now()).map_err(internal)
    }

    /// Signs a request for an identity.
    pub(super) fn sign(&self, request: &[u8], identity: &Identity) -> Result<Issued, Status> {
        self.authority
            .issue(request, identity, lifetime(identity), self.clock.now())
            .map_err(|error| status(Problem::new(ProblemCode::BadInput, error.to_string())))
    }

    /// The answer to a join or a renewal.
    pub(super) fn certificate(&self, issued: Issued) -> v1::JoinReply {
        let (kind, role) = match &issued.peer.identity {
            Identity::Site(_) => ("site", String::new()),
            Identity::User { role, .. } => ("user", role.to_string()),
        };
        v1::JoinReply {
            certificate_pem: issued.pem,
            ca_pem: self.authority.certificate_pem(),
            kind: kind.to_owned(),
            id: issued.peer.identity.name().to_owned(),
            role,
            not_after_ms: issued.peer.not_after.0,
        }
    }

    /// A new certificate for who calls; the old one stays valid until its end.
    pub(super) fn renew(&self, caller: &Caller, request: &[u8]) -> Result<v1::JoinReply, Status> {
        let peer = caller.peer().ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let issued = self.sign(request, &peer.identity)?;
        let (kind, id) = kind_and_id(&peer.identity);
        let serial = issued.peer.serial.to_string();
        let certificate =
            NewCertificate { serial: &serial, not_after: issued.peer.not_after, pem: &issued.pem };
        self.store
            .add_certificate(kind, id, certificate)
            .and_then(|()| self.gate.refresh(&self.store))
            .map_err(internal)?;
        self.record(&format!("{kind}:{id}"), "renew", &serial)?;
        Ok(self.certificate(issued))
    }

    /// Completes when a long call must end: its caller was revoked, or the coordinator stops.
    pub(super) async fn call_ends(&self, caller: &Caller) -> Status {
        let refused = async {
            match caller.peer() {
                Some(peer) => Status::from(self.gate.refused(peer).await),
                None => std::future::pending().await,
            }
        };
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            status = refused => {
                tracing::warn!(%caller, reason = status.message(), "running call ended");
                status
            }
            _ = stopping.wait_for(|stopping| *stopping) => stopping_status(),
        }
    }
}

/// The SHA-256 of the public key in a certificate request.
///
/// # Errors
/// It is no PKCS #10 request.
pub(super) fn key_of(request: &[u8]) -> Result<Digest, Status> {
    let (_, parsed) = X509CertificationRequest::from_der(request).map_err(|error| {
        let sentence = format!("the certificate request is unusable: {error}");
        status(Problem::new(ProblemCode::BadInput, sentence))
    })?;
    Ok(Digest::of(parsed.certification_request_info.subject_pki.raw))
}

/// `site` or `user`, and the id.
pub(super) fn kind_and_id(identity: &Identity) -> (&'static str, &str) {
    match identity {
        Identity::Site(site) => ("site", site.as_str()),
        Identity::User { name, .. } => ("user", name.as_str()),
    }
}

/// Reads a study's id.
pub(super) fn study_id(text: &str) -> Result<StudyId, Status> {
    StudyId::parse(text)
        .map_err(|error| status(Problem::new(ProblemCode::BadInput, format!("study id: {error}"))))
}

/// A problem as a status; a very long sentence is cut.
pub(super) fn status(mut problem: Problem) -> Status {
    if problem.sentence.len() > LONGEST_SENTENCE {
        let fits = |&(at, _): &(usize, char)| at <= LONGEST_SENTENCE;
        let end = problem.sentence.char_indices().take_while(fits).last().map_or(0, |(at, _)| at);
        problem.sentence.truncate(end);
        problem.sentence.push_str("...");
    }
    problem.into()
}

/// A fault of the coordinator: the operator reads it in the log.
pub(super) fn internal(error: StoreError) -> Status {
    tracing::error!(%error, "the store failed");
    status(Problem::new(ProblemCode::Internal, error.to_string()))
}

fn stopping_status() -> Status {
    status(Problem::new(ProblemCode::Unavailable, "the coordinator is stopping"))
}

fn lifetime(identity: &Identity) -> Duration {
    match identity {
        Identity::Site(_) => SITE_LIFETIME,
        Identity::User { .. } => USER_LIFETIME,
    }
}

/// The version in a user agent `wardround/0.1.0 ...`.
fn version_of(agent: &str) -> Option<&str> {
    agent.strip_prefix("wardround/")?.split_whitespace().next()
}
