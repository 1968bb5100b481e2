//! Who may call what. One table; every console call goes through it, and a refusal is logged with
//! who, why and from where.

use tonic::{Request, Status};
use wardround_core::ids::{Role, SiteId, UserId};
use wardround_net::server::Caller;

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Who am I, as the coordinator sees it?
    WhoAmI,
    /// A new certificate for oneself.
    Renew,
    /// Invite a site or a person.
    Invite,
    /// Revoke a site or a person.
    Revoke,
    /// List the sites.
    ListSites,
    /// List the people.
    ListUsers,
    /// What would a study cost?
    Plan,
    /// Start a study.
    Submit,
    /// Stop a study.
    Abort,
    /// Follow a study's events.
    Watch,
    /// List the studies.
    ListStudies,
    /// Read what a study left: report, bundle, study file, export.
    Fetch,
    /// Who did what and when?
    History,
}

impl Call {
    /// Every call.
    pub const ALL: [Call; 13] = [
        Call::WhoAmI,
        Call::Renew,
        Call::Invite,
        Call::Revoke,
        Call::ListSites,
        Call::ListUsers,
        Call::Plan,
        Call::Submit,
        Call::Abort,
        Call::Watch,
        Call::ListStudies,
        Call::Fetch,
        Call::History,
    ];

    /// The roles that may.
    pub fn roles(self) -> &'static [Role] {
        use Role::{Auditor, Lead, Operator};
        match self {
            Call::WhoAmI | Call::Renew | Call::ListStudies => &[Lead, Operator, Auditor],
            Call::Invite | Call::Revoke | Call::ListUsers => &[Operator],
            Call::ListSites => &[Lead, Operator],
            Call::Plan | Call::Submit | Call::Abort | Call::Watch => &[Lead],
            Call::Fetch | Call::History => &[Lead, Auditor],
        }
    }
}

/// The person who calls, if their role allows it.
///
/// # Errors
/// `unauthenticated` without a certificate, `permission_denied` for a site or another role.
pub fn person<T>(request: &Request<T>, call: Call) -> Result<UserId, Status> {
    let caller = Caller::of(request)?;
    caller.user_as(call.roles()).cloned().map_err(|status| refused(caller, call, status))
}

/// The site that calls.
///
/// # Errors
/// `unauthenticated` without a certificate, `permission_denied` for a person.
pub fn site<T>(request: &Request<T>) -> Result<SiteId, Status> {
    let caller = Caller::of(request)?;
    caller.site().cloned().map_err(|status| refused(caller, "site link", status))
}

fn refused(caller: &Caller, call: impl std::fmt::Debug, status: Status) -> Status {
    tracing::warn!(%caller, ?call, reason = status.message(), "call refused");
    status
}
