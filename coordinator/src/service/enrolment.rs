//! Joining: a one-time token and a certificate request against a certificate. The token decides who
//! the caller is; of the request only the public key is used.
//!
//! A join whose answer was lost asks again with the same token and the same key, and gets a
//! certificate again, as long as the invitation lasts. Another key with a used token is refused.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wardround_net::invite::InviteToken;
use wardround_net::pki::Identity;
use wardround_net::server::Caller;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use super::context::{Context, internal, key_of, status};
use crate::store::{Invitee, NewCertificate, Spent};

/// Most characters of a stated software version that are kept.
const LONGEST_SOFTWARE: usize = 100;

/// The enrolment service.
pub struct Enrolment(pub(super) Arc<Context>);

#[tonic::async_trait]
impl v1::enrolment_server::Enrolment for Enrolment {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        let remote = Caller::of(&request)?.remote();
        let reply = self.answer(request.into_inner());
        match &reply {
            Ok(reply) => {
                tracing::info!(%remote, kind = reply.kind, id = reply.id, "joined");
            }
            Err(status) => tracing::warn!(%remote, reason = status.message(), "join refused"),
        }
        reply.map(Response::new)
    }
}

impl Enrolment {
    fn answer(&self, request: v1::JoinRequest) -> Result<v1::JoinReply, Status> {
        let context = &self.0;
        let token =
            InviteToken::parse(&request.token).map_err(|error| identity(error.to_string()))?;
        if !token.pin().matches(&context.authority.fingerprint()) {
            return Err(identity("this invite token is for another consortium".into()));
        }
        let hash = token.hash().digest();
        let key = key_of(&request.csr_der)?;
        let spent = context.store.invite(&hash, &key, context.clock.now()).map_err(internal)?;
        let invitee = accepted(spent)?;
        if !request.kind.is_empty() && request.kind != invitee.kind() {
            return Err(other_kind(&invitee));
        }
        let issued = context.sign(&request.csr_der, &identity_of(&invitee))?;
        let software: String =
            request.software.chars().filter(|c| !c.is_control()).take(LONGEST_SOFTWARE).collect();
        let spent = context
            .store
            .enrol(
                &hash,
                &key,
                NewCertificate {
                    serial: &issued.peer.serial.to_string(),
                    not_after: issued.peer.not_after,
                    pem: &issued.pem,
                },
                &software,
                context.clock.now(),
            )
            .map_err(internal)?;
        accepted(spent)?;
        context.gate.refresh(&context.store).map_err(internal)?;
        let who = format!("{}:{}", invitee.kind(), invitee.id());
        context.record(&who, "join", &issued.peer.serial.to_string())?;
        if matches!(invitee, Invitee::User(..)) {
            // The first operator's token is spent or no longer needed; it may be gone already.
            let _ = std::fs::remove_file(&context.token_file);
        }
        Ok(context.certificate(issued))
    }
}

fn accepted(spent: Spent) -> Result<Invitee, Status> {
    let sentence = match spent {
        Spent::Accepted(invitee) => return Ok(invitee),
        Spent::Unknown => {
            "this invite token isn't known here: it was taken back, or the coordinator was restored \
             from an older backup; ask for a fresh one"
                .to_owned()
        }
        Spent::Used(when) => format!(
            "this invite token was used on {} with another key: ask for a fresh one, and if it \
             wasn't you who used it, tell the operator",
            when.to_rfc3339()
        ),
        Spent::Expired(when) => {
            format!("this invite token ended on {}: ask for a fresh one", when.to_rfc3339())
        }
    };
    Err(identity(sentence))
}

/// A person's command with a site's token, or the other way round.
fn other_kind(invitee: &Invitee) -> Status {
    let command = match invitee {
        Invitee::Site(_) => "wardround-site join",
        Invitee::User(..) => "wardround user join",
    };
    let sentence = format!(
        "this invite token is for the {} '{}': use it with `{command}`; it isn't used up",
        invitee.kind(),
        invitee.id()
    );
    status(Problem::new(ProblemCode::BadInput, sentence))
}

fn identity(sentence: String) -> Status {
    status(Problem::new(ProblemCode::Identity, sentence))
}

fn identity_of(invitee: &Invitee) -> Identity {
    match invitee {
        Invitee::Site(site) => Identity::Site(site.clone()),
        Invitee::User(name, role) => Identity::User { name: name.clone(), role: *role },
    }
}
