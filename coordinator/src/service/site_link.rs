//! The sites' side: each call names its site by the certificate and goes to the [`Hub`]. A running
//! call ends at once when its site is revoked or the coordinator stops.
//!
//! [`Hub`]: crate::hub::Hub

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wardround_core::ids::SiteId;
use wardround_net::server::Caller;
use wardround_proto::problem::Problem;
use wardround_proto::v1;

use super::context::{Context, internal, status};
use super::roles;
use crate::store::MemberState;

/// The service for sites.
pub struct SiteLink(pub(super) Arc<Context>);

impl SiteLink {
    /// Reads who calls and what, and ends the work when the call must end.
    async fn serve<Q, R, F>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(SiteId, Q) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Problem>>,
    {
        let site = roles::site(&request)?;
        let caller = Caller::of(&request)?.clone();
        tokio::select! {
            done = work(site, request.into_inner()) => done.map(Response::new).map_err(status),
            ended = self.0.call_ends(&caller) => Err(ended),
        }
    }
}

#[tonic::async_trait]
impl v1::site_link_server::SiteLink for SiteLink {
    async fn poll(
        &self,
        request: Request<v1::PollRequest>,
    ) -> Result<Response<v1::PollReply>, Status> {
        self.serve(request, |site, poll| async move { self.0.hub.poll(&site, poll).await }).await
    }

    async fn progress(
        &self,
        request: Request<v1::ProgressReport>,
    ) -> Result<Response<v1::ProgressReply>, Status> {
        self.serve(request, |site, report| async move { self.0.hub.progress(&site, report).await })
            .await
    }

    async fn submit(
        &self,
        request: Request<v1::Submission>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        self.serve(request, |site, submission| async move {
            self.0.hub.submit(&site, submission).await.map(|()| v1::SubmitReply {})
        })
        .await
    }

    async fn get_chunk(
        &self,
        request: Request<v1::GetChunkRequest>,
    ) -> Result<Response<v1::Chunk>, Status> {
        self.serve(request, |site, wanted| async move { self.0.hub.chunk(&site, wanted).await })
            .await
    }

    async fn missing_chunks(
        &self,
        request: Request<v1::MissingChunksRequest>,
    ) -> Result<Response<v1::MissingChunksReply>, Status> {
        self.serve(request, |site, payload| async move { self.0.hub.missing(&site, payload).await })
            .await
    }

    async fn put_chunk(
        &self,
        request: Request<v1::Chunk>,
    ) -> Result<Response<v1::PutChunkReply>, Status> {
        self.serve(request, |site, chunk| async move {
            self.0.hub.put(&site, chunk).await.map(|()| v1::PutChunkReply {})
        })
        .await
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        roles::site(&request)?;
        let caller = Caller::of(&request)?.clone();
        self.0.renew(&caller, &request.into_inner().csr_der).map(Response::new)
    }

    async fn leave(
        &self,
        request: Request<v1::LeaveRequest>,
    ) -> Result<Response<v1::LeaveReply>, Status> {
        let site = roles::site(&request)?;
        let context = &self.0;
        let now = context.clock.now();
        context
            .store
            .end_membership("site", site.as_str(), MemberState::Left, now)
            .map_err(internal)?;
        context.record(&format!("site:{site}"), "leave", "")?;
        context.hub.leave(&site);
        tracing::info!(%site, "left");
        // The gate hears of it after this answer is out: it is asked once more before that.
        let context = context.clone();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            if let Err(error) = context.gate.refresh(&context.store) {
                tracing::error!(%error, "the store failed");
            }
        });
        Ok(Response::new(v1::LeaveReply {}))
    }
}
