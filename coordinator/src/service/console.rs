//! The people's side: members, studies, what studies left, history. Who may call what stands in
//! [`Call::roles`]; whatever changes something or shows a result is written down with who did it.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status};
use wardround_core::ids::{Role, SiteId, StudyId, UserId};
use wardround_net::invite::InviteToken;
use wardround_net::server::Caller;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use super::context::{Context, internal, status, study_id};
use super::roles::Call;
use crate::archive::SignedBy;
use crate::store::{Artefact, Invitee, MemberState, StudyRecord};

/// How long an invitation lasts unless the operator says otherwise.
const INVITE_S: u32 = 72 * 3600;
/// The longest that an invitation may last.
const LONGEST_INVITE_S: u32 = 30 * 24 * 3600;
/// Bytes of a file in one message.
const PART_BYTES: usize = 1 << 20;

/// The service for people.
pub struct Console(pub(super) Arc<Context>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::console_server::Console for Console {
    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIReply>, Status> {
        let id = self.0.person(&request, Call::WhoAmI)?;
        let caller = Caller::of(&request)?;
        let (_, role) = caller.user()?;
        Ok(Response::new(v1::WhoAmIReply {
            id: id.to_string(),
            role: role.to_string(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            ca_fingerprint: self.0.authority.fingerprint().to_string(),
            not_after_ms: caller.peer().map_or(0, |peer| peer.not_after.0),
        }))
    }

    async fn invite(
        &self,
        request: Request<v1::InviteRequest>,
    ) -> Result<Response<v1::InviteReply>, Status> {
        let by = self.0.person(&request, Call::Invite)?;
        self.invite_member(&by, request.into_inner()).map(Response::new)
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersReply>, Status> {
        let call = match request.get_ref().kind.as_str() {
            "site" => Call::ListSites,
            "user" => Call::ListUsers,
            other => return Err(bad_input(format!("members are 'site' or 'user', not '{other}'"))),
        };
        self.0.person(&request, call)?;
        self.members(&request.get_ref().kind).map(Response::new)
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeReply>, Status> {
        let by = self.0.person(&request, Call::Revoke)?;
        self.revoke_member(&by, request.into_inner()).map(Response::new)
    }

    async fn plan_study(
        &self,
        request: Request<v1::PlanStudyRequest>,
    ) -> Result<Response<v1::PlanStudyReply>, Status> {
        let by = self.0.person(&request, Call::Plan)?;
        self.0.did(&by, "plan", "")?;
        let caller = Caller::of(&request)?.clone();
        let plan = tokio::select! {
            plan = self.0.studies.plan(&request.get_ref().study_toml) => plan.map_err(status)?,
            ended = self.0.call_ends(&caller) => return Err(ended),
        };
        Ok(Response::new(v1::PlanStudyReply { plan_json: plan.to_string() }))
    }

    async fn submit_study(
        &self,
        request: Request<v1::SubmitStudyRequest>,
    ) -> Result<Response<v1::SubmitStudyReply>, Status> {
        let by = self.0.person(&request, Call::Submit)?;
        let caller = Caller::of(&request)?.clone();
        let v1::SubmitStudyRequest { study_toml, token, parent, model } = request.into_inner();
        let study = tokio::select! {
            study = self.0.studies.submit(study_toml, model, (token, parent), &by) => study.map_err(status)?,
            ended = self.0.call_ends(&caller) => return Err(ended),
        };
        self.0.did(&by, "submit", study.as_str())?;
        Ok(Response::new(v1::SubmitStudyReply { study: study.to_string() }))
    }

    async fn list_studies(
        &self,
        request: Request<v1::ListStudiesRequest>,
    ) -> Result<Response<v1::ListStudiesReply>, Status> {
        self.0.person(&request, Call::ListStudies)?;
        let studies = self.0.store.studies().map_err(internal)?;
        let studies = studies.into_iter().map(study_info).collect();
        Ok(Response::new(v1::ListStudiesReply { studies }))
    }

    type WatchStudyStream = Answers<v1::Event>;

    async fn watch_study(
        &self,
        request: Request<v1::WatchStudyRequest>,
    ) -> Result<Response<Self::WatchStudyStream>, Status> {
        let by = self.0.person(&request, Call::Watch)?;
        let caller = Caller::of(&request)?.clone();
        let v1::WatchStudyRequest { study, after, follow } = request.into_inner();
        let id = self.study(&study)?.id;
        let events = self.0.studies.watch(&id, after, follow).map_err(status)?;
        if after == 0 {
            self.0.did(&by, "watch", id.as_str())?;
        }
        let context = self.0.clone();
        let ends = async move { context.call_ends(&caller).await };
        Ok(Response::new(Box::pin(until(events, ends))))
    }

    async fn abort_study(
        &self,
        request: Request<v1::AbortStudyRequest>,
    ) -> Result<Response<v1::AbortStudyReply>, Status> {
        let by = self.0.person(&request, Call::Abort)?;
        let id = self.study(&request.get_ref().study)?.id;
        self.0.studies.abort(&id, &format!("user:{by}")).map_err(status)?;
        self.0.did(&by, "abort", id.as_str())?;
        Ok(Response::new(v1::AbortStudyReply {}))
    }

    type FetchStream = Answers<v1::FetchPart>;

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let by = self.0.person(&request, Call::Fetch)?;
        let wanted = request.get_ref().artefact();
        let study = self.study(&request.get_ref().study)?;
        let id = study.id.clone();
        let (bytes, deed) = self.file(study, wanted).await?;
        self.0.did(&by, deed, id.as_str())?;
        let parts: Vec<_> = bytes
            .chunks(PART_BYTES)
            .map(|part| Ok(v1::FetchPart { data: part.to_vec() }))
            .collect();
        Ok(Response::new(Box::pin(stream::iter(parts))))
    }

    async fn renew_user(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        self.0.person(&request, Call::Renew)?;
        let caller = Caller::of(&request)?.clone();
        self.0.renew(&caller, &request.into_inner().csr_der).map(Response::new)
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryReply>, Status> {
        let by = self.0.person(&request, Call::History)?;
        let after = request.get_ref().after;
        if after == 0 {
            self.0.did(&by, "read history", "")?;
        }
        let deeds = self.0.store.deeds(after).map_err(internal)?.into_iter();
        let deeds = deeds.map(|deed| v1::Deed {
            sequence: deed.sequence,
            time_ms: deed.time.0,
            who: deed.who,
            what: deed.what,
            subject: deed.subject,
        });
        Ok(Response::new(v1::HistoryReply { deeds: deeds.collect() }))
    }
}

impl Console {
    fn invite_member(
        &self,
        by: &UserId,
        request: v1::InviteRequest,
    ) -> Result<v1::InviteReply, Status> {
        let context = &self.0;
        let invitee = match request.who {
            Some(v1::invite_request::Who::Site(site)) => Invitee::Site(parse(&site)?),
            Some(v1::invite_request::Who::User(user)) => {
                let role = request.role.parse::<Role>().map_err(bad_input)?;
                Invitee::User(parse(&user)?, role)
            }
            None => return Err(bad_input("say which site or user to invite")),
        };
        let valid_s = if request.valid_s == 0 { INVITE_S } else { request.valid_s };
        if valid_s > LONGEST_INVITE_S {
            return Err(bad_input(format!(
                "an invitation lasts at most {} hours, not {}",
                LONGEST_INVITE_S / 3600,
                valid_s / 3600
            )));
        }
        let fingerprint = context.authority.fingerprint();
        let token = InviteToken::generate(&fingerprint);
        let expires = context.clock.now().plus_ms(i64::from(valid_s) * 1000);
        context.store.add_invite(&token.hash().digest(), &invitee, expires).map_err(internal)?;
        let subject = match &invitee {
            Invitee::Site(site) => format!("site:{site}"),
            Invitee::User(user, role) => format!("user:{user} ({role})"),
        };
        context.did(by, "invite", &subject)?;
        Ok(v1::InviteReply {
            token: token.reveal(),
            expires_ms: expires.0,
            ca_fingerprint: fingerprint.to_string(),
        })
    }

    fn revoke_member(
        &self,
        by: &UserId,
        request: v1::RevokeRequest,
    ) -> Result<v1::RevokeReply, Status> {
        let context = &self.0;
        let (kind, id) = match &request.who {
            Some(v1::revoke_request::Who::Site(site)) => ("site", site),
            Some(v1::revoke_request::Who::User(user)) => ("user", user),
            None => return Err(bad_input("say which site or user to revoke")),
        };
        if kind == "user" && id == by.as_str() {
            let sentence = "you can't revoke yourself: have another operator do it";
            return Err(status(Problem::new(ProblemCode::Conflict, sentence)));
        }
        let now = context.clock.now();
        let found =
            context.store.end_membership(kind, id, MemberState::Revoked, now).map_err(internal)?;
        if !found {
            return Err(not_found(format!("no {kind} '{id}' is enrolled or invited")));
        }
        context.gate.refresh(&context.store).map_err(internal)?;
        context.did(by, "revoke", &format!("{kind}:{id}"))?;
        tracing::info!(kind, id, by = by.as_str(), "revoked");
        if kind == "site" {
            context.hub.leave(&parse(id)?);
        }
        Ok(v1::RevokeReply {})
    }

    fn members(&self, kind: &str) -> Result<v1::ListMembersReply, Status> {
        let connected = |id: &str| {
            kind == "site" && SiteId::parse(id).is_ok_and(|site| self.0.hub.is_connected(&site))
        };
        let members = self.0.store.members(kind).map_err(internal)?.into_iter();
        let members = members.map(|member| v1::Member {
            connected: member.state == MemberState::Enrolled && connected(&member.id),
            id: member.id,
            state: member.state.word().to_owned(),
            role: member.role,
            since_ms: member.since.0,
            last_seen_ms: member.last_seen.0,
            not_after_ms: member.not_after.0,
            software: member.software,
            device: member.device,
        });
        Ok(v1::ListMembersReply { members: members.collect() })
    }

    fn study(&self, text: &str) -> Result<StudyRecord, Status> {
        let id = study_id(text)?;
        let found = self.0.store.study(&id).map_err(internal)?;
        found.ok_or_else(|| not_found(format!("there is no study '{id}'")))
    }

    /// A file that a study left, and what reading it is called in the history.
    async fn file(
        &self,
        study: StudyRecord,
        wanted: v1::Artefact,
    ) -> Result<(Vec<u8>, &'static str), Status> {
        let (artefact, deed) = match wanted {
            v1::Artefact::StudyFile => return Ok((study.toml.into_bytes(), "read study file")),
            v1::Artefact::Export => return Ok((self.export(study.id).await?, "read export")),
            v1::Artefact::ReportJson => (Artefact::ReportJson, "read report"),
            v1::Artefact::ReportHtml => (Artefact::ReportHtml, "read report"),
            v1::Artefact::ReportText => (Artefact::ReportText, "read report"),
            v1::Artefact::Bundle => (Artefact::Bundle, "read bundle"),
            v1::Artefact::Unspecified => return Err(bad_input("say which file to fetch")),
        };
        let found = self.0.store.artefact(&study.id, artefact).map_err(internal)?;
        let missing = || {
            let sentence = format!(
                "study {} is {}: it has no such file{}",
                study.id,
                study.state.word(),
                if study.state.is_over() { "" } else { " yet" }
            );
            status(Problem::new(ProblemCode::Conflict, sentence))
        };
        Ok((found.ok_or_else(missing)?, deed))
    }

    async fn export(&self, id: StudyId) -> Result<Vec<u8>, Status> {
        let context = self.0.clone();
        let make = move || {
            let at = context.clock.now();
            let signer = context.authority.signer(&context.pki, at).map_err(|error| {
                let sentence = format!("the export can't be signed: {error}");
                status(Problem::new(ProblemCode::Internal, sentence))
            })?;
            let signed = SignedBy::Signer { signer: &signer, at };
            let exported = context.studies.export(&id, signed).map_err(status)?;
            // A signature whose manifest isn't in the history was made by somebody else.
            let subject = format!("{id} (manifest {})", exported.manifest);
            context.record("coordinator", "sign export", &subject)?;
            Ok(exported.bytes)
        };
        tokio::task::spawn_blocking(make).await.map_err(|error| {
            tracing::error!(%error, "making an export failed");
            status(Problem::new(ProblemCode::Internal, "making the export failed"))
        })?
    }
}

/// The items of a stream until `ends` completes, whose status is the last item then.
fn until<T: Send + 'static>(
    events: impl Stream<Item = T> + Send + 'static,
    ends: impl Future<Output = Status> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let running = Some((Box::pin(events), Box::pin(ends)));
    stream::unfold(running, |running| async move {
        let (mut events, mut ends) = running?;
        tokio::select! {
            event = events.next() => event.map(|event| (Ok(event), Some((events, ends)))),
            status = &mut ends => Some((Err(status), None)),
        }
    })
}

fn study_info(study: StudyRecord) -> v1::StudyInfo {
    v1::StudyInfo {
        id: study.id.to_string(),
        name: study.name,
        state: study.state.word().to_owned(),
        submitted_by: study.submitted_by,
        submitted_ms: study.submitted.0,
        ended_ms: study.ended.0,
        reason: study.reason,
        parent: study.parent,
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Status>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| bad_input(format!("'{text}': {error}")))
}

fn bad_input(sentence: impl Into<String>) -> Status {
    status(Problem::new(ProblemCode::BadInput, sentence))
}

fn not_found(sentence: String) -> Status {
    status(Problem::new(ProblemCode::NotFound, sentence))
}
