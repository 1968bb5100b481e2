//! Who calls, and whether they still may. Asked when a request comes, for every frame of its body,
//! and again before the answer goes out, so that a long poll or a stream ends with the revocation.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};
use wardround_core::clock::{Clock, Timestamp};
use wardround_core::ids::{Role, SiteId, UserId};

use crate::pki::{Identity, Peer};

/// The metadata key that carries a refusal's code to the client.
const REFUSED: &str = "wardround-refused";

/// Who sent a request: read from the connection, never from the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No certificate was shown: may join, nothing else.
    Anonymous {
        /// Where the connection comes from.
        remote: SocketAddr,
    },
    /// A certificate of this consortium was shown and verified.
    Known {
        /// Who it is.
        peer: Peer,
        /// Where the connection comes from.
        remote: SocketAddr,
    },
}

/// Decides whether a verified peer may still act: the list of revoked and removed ones.
pub trait PeerGate: Send + Sync + 'static {
    /// Asked often; answer from memory.
    ///
    /// # Errors
    /// Why this peer may not.
    fn admit(&self, peer: &Peer) -> Result<(), Refusal>;
}

/// Why a verified peer is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An operator revoked the certificate or its holder.
    #[error("this certificate was revoked by an operator of the consortium")]
    Revoked,
    /// The certificate is genuine but its holder isn't registered here.
    #[error(
        "the coordinator doesn't know this certificate's holder; it may have been restored from an older backup"
    )]
    Unknown,
    /// The certificate ended while the connection was open.
    #[error("this certificate has expired")]
    Expired,
}

impl Caller {
    /// Who sent a request.
    ///
    /// # Errors
    /// `internal` when the request didn't come through [`crate::server::Server`].
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Caller, Status> {
        request.extensions().get().ok_or_else(|| {
            Status::internal("the request has no connection: it bypassed the server")
        })
    }

    /// Where the connection comes from.
    pub fn remote(&self) -> SocketAddr {
        match self {
            Caller::Anonymous { remote } | Caller::Known { remote, .. } => *remote,
        }
    }

    /// The verified peer, if there is one.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Caller::Anonymous { .. } => None,
            Caller::Known { peer, .. } => Some(peer),
        }
    }

    /// The site that calls.
    ///
    /// # Errors
    /// `unauthenticated` without a certificate, `permission_denied` for a person.
    pub fn site(&self) -> Result<&SiteId, Status> {
        match self.identity()? {
            Identity::Site(site) => Ok(site),
            Identity::User { name, .. } => Err(Status::permission_denied(format!(
                "only a site's agent may call this; the certificate is the person {name}'s"
            ))),
        }
    }

    /// The person who calls, with their role.
    ///
    /// # Errors
    /// `unauthenticated` without a certificate, `permission_denied` for a site.
    pub fn user(&self) -> Result<(&UserId, Role), Status> {
        match self.identity()? {
            Identity::User { name, role } => Ok((name, *role)),
            Identity::Site(site) => Err(Status::permission_denied(format!(
                "only a person may call this; the certificate is the site {site}'s"
            ))),
        }
    }

    /// The person who calls, when their role is one of `allowed`.
    ///
    /// # Errors
    /// As [`Caller::user`], and `permission_denied` naming the person's role and those allowed.
    pub fn user_as(&self, allowed: &[Role]) -> Result<&UserId, Status> {
        let (name, role) = self.user()?;
        if allowed.contains(&role) {
            return Ok(name);
        }
        let allowed: Vec<String> = allowed.iter().map(Role::to_string).collect();
        Err(Status::permission_denied(format!(
            "{name} is {role}; this needs {}",
            allowed.join(" or ")
        )))
    }

    fn identity(&self) -> Result<&Identity, Status> {
        self.peer().map(|peer| &peer.identity).ok_or_else(|| {
            Status::unauthenticated("no client certificate was shown: join the consortium first")
        })
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Anonymous { remote } => write!(f, "nobody known at {remote}"),
            Caller::Known { peer, remote } => write!(f, "{} at {remote}", peer.identity),
        }
    }
}

impl Refusal {
    /// The refusal a call was answered with, if it was one.
    pub fn of_status(status: &Status) -> Option<Refusal> {
        match status.metadata().get(REFUSED)?.to_str().ok()? {
            "revoked" => Some(Refusal::Revoked),
            "unknown" => Some(Refusal::Unknown),
            "expired" => Some(Refusal::Expired),
            _ => None,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Refusal::Revoked => "revoked",
            Refusal::Unknown => "unknown",
            Refusal::Expired => "expired",
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let mut status = Status::unauthenticated(refusal.to_string());
        status
            .metadata_mut()
            .insert(REFUSED, tonic::metadata::MetadataValue::from_static(refusal.code()));
        status
    }
}

/// Puts the gate before every service.
#[derive(Clone)]
pub(super) struct GateLayer {
    gate: Arc<dyn PeerGate>,
    clock: Arc<dyn Clock>,
}

impl GateLayer {
    pub(super) fn new(gate: Arc<dyn PeerGate>, clock: Arc<dyn Clock>) -> Self {
        Self { gate, clock }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, layer: self.clone() }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub(super) struct Gated<S> {
    inner: S,
    layer: GateLayer,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(caller) = request.extensions().get::<Caller>().cloned() else {
            // Only a wiring mistake gets here; nothing behind the gate may run then.
            let status = Status::internal("the request has no connection: it bypassed the server");
            return Box::pin(async { Ok(status.into_http()) });
        };
        let check = Check { layer: self.layer.clone(), caller };
        if let Err(refusal) = check.admit() {
            return Box::pin(async move { Ok(Status::from(refusal).into_http()) });
        }
        let answering = self.inner.call(request.map(|body| check.guard(body)));
        Box::pin(async move {
            let response = answering.await?;
            Ok(match check.admit() {
                Ok(()) => response.map(|body| check.guard(body)),
                Err(refusal) => Status::from(refusal).into_http(),
            })
        })
    }
}

/// The question, bound to one caller.
#[derive(Clone)]
struct Check {
    layer: GateLayer,
    caller: Caller,
}

impl Check {
    fn admit(&self) -> Result<(), Refusal> {
        let Some(peer) = self.caller.peer() else { return Ok(()) };
        let admitted = if peer.not_after <= self.layer.clock.now() {
            Err(Refusal::Expired)
        } else {
            self.layer.gate.admit(peer)
        };
        if let Err(refusal) = &admitted {
            let Timestamp(until) = peer.not_after;
            tracing::warn!(caller = %self.caller, serial = %peer.serial, until, reason = %refusal, "request refused");
        }
        admitted
    }

    fn guard(&self, body: Body) -> Body {
        Body::new(GuardedBody { body, check: self.clone() })
    }
}

struct GuardedBody {
    body: Body,
    check: Check,
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) if frame.is_data() => {
                Some(self.check.admit().map(|()| frame).map_err(Status::from))
            }
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Serial;

    fn known(uri: &str) -> Caller {
        let peer = Peer {
            identity: uri.parse().unwrap(),
            serial: "01".parse::<Serial>().unwrap(),
            not_after: Timestamp(0),
        };
        Caller::Known { peer, remote: "127.0.0.1:1".parse().unwrap() }
    }

    #[test]
    fn roles_are_told_apart() {
        let site = known("wardround://site/a");
        assert_eq!(site.site().unwrap().as_str(), "a");
        assert_eq!(site.user().unwrap_err().code(), tonic::Code::PermissionDenied);
        let auditor = known("wardround://user/ada?role=auditor");
        assert_eq!(auditor.user_as(&[Role::Lead, Role::Auditor]).unwrap().as_str(), "ada");
        let refused = auditor.user_as(&[Role::Lead, Role::Operator]).unwrap_err();
        assert_eq!(refused.message(), "ada is auditor; this needs lead or operator");
        assert_eq!(auditor.site().unwrap_err().code(), tonic::Code::PermissionDenied);
        let nobody = Caller::Anonymous { remote: "127.0.0.1:1".parse().unwrap() };
        assert_eq!(nobody.site().unwrap_err().code(), tonic::Code::Unauthenticated);
    }

    #[test]
    fn refusals_survive_the_wire() {
        for refusal in [Refusal::Revoked, Refusal::Unknown, Refusal::Expired] {
            assert_eq!(Refusal::of_status(&refusal.into()), Some(refusal));
        }
        assert_eq!(Refusal::of_status(&Status::unauthenticated("no")), None);
    }
}
