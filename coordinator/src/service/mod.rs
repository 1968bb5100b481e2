//! The coordinator as a service: the data folder, the consortium's root, the first operator, and
//! the gRPC services of `wardround.v1` behind one port.
//!
//! ```text
//! <data>/lock                    held while a coordinator runs on the folder
//! <data>/pki/                    the root's key and certificate, the server's own, the key that signs archives
//! <data>/first-operator.token    a one-time token, until the first person joined
//! ```
//! The rest is [`Store`]'s.

mod console;
mod context;
mod enrolment;
mod gate;
pub mod os;
pub mod roles;
mod site_link;

pub use gate::Gate;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use wardround_core::clock::{Clock, Timestamp};
use wardround_core::ids::{Role, UserId};
use wardround_learn::recorded::Keep;
use wardround_net::MAX_MESSAGE_BYTES;
use wardround_net::invite::InviteToken;
use wardround_net::pki::{Authority, Credentials, Fingerprint, Hosts, PkiError};
use wardround_net::server::{Server, ServerError};
use wardround_proto::problem::Problem;
use wardround_proto::v1::{
    console_server::ConsoleServer, enrolment_server::EnrolmentServer,
    site_link_server::SiteLinkServer,
};

use crate::hub::Hub;
use crate::runner::Studies;
use crate::store::{Invitee, Store, StoreError};
use console::Console;
use context::Context;
use enrolment::Enrolment;
use site_link::SiteLink;

/// How long the first operator's token lasts; a restart makes a new one.
const FIRST_TOKEN_MS: i64 = 7 * 24 * 3600 * 1000;
/// How often the server's own certificate is looked at.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What a coordinator is started with.
pub struct Options {
    /// The data folder; made when it isn't there.
    pub data: PathBuf,
    /// The consortium's name; only used to make its root, at the first start.
    pub name: Option<String>,
    /// The names under which sites and people reach it.
    pub hosts: Hosts,
    /// Who gets a one-time operator token.
    pub operator: OperatorInvite,
    /// What journals keep of trees.
    pub keep: Keep,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Who gets a one-time operator token at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorInvite {
    /// This person, when nobody has ever joined.
    WhenEmpty(UserId),
    /// This person in any case: all operators lost their keys.
    Now(UserId),
}

/// A one-time operator token that waits in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorToken {
    /// Whom it makes an operator.
    pub user: UserId,
    /// The file, readable by its owner alone.
    pub file: PathBuf,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why a coordinator can't start or run: each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The first start without a name.
    #[error("{} holds no consortium yet: name it with --name at the first start", .0.display())]
    NoName(PathBuf),
    /// Another coordinator has the folder.
    #[error("another coordinator runs on {}: stop it first, or use another folder", .0.display())]
    Locked(PathBuf),
    /// A file of the data folder can't be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys and certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The hub or the studies.
    #[error(transparent)]
    Work(#[from] Problem),
    /// Serving.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A coordinator, opened on its data folder.
pub struct Coordinator {
    context: Arc<Context>,
    credentials: Credentials,
    hosts: Hosts,
    operator: Option<OperatorToken>,
    /// Held as long as the coordinator lives.
    _lock: File,
}

impl Coordinator {
    /// Opens the data folder: at the first start it makes the consortium's root and the first
    /// operator's token. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn open(options: Options) -> Result<Self, StartError> {
        let Options { data, name, hosts, operator, keep, clock } = options;
        let lock = lock(&data)?;
        let now = clock.now();
        let pki = data.join("pki");
        let name = match name {
            Some(name) => name,
            // The name goes into a new root only.
            None if pki.join("ca.pem").exists() => String::new(),
            None => return Err(StartError::NoName(data)),
        };
        let authority = Authority::open_or_create(&pki, &name, now)?;
        let credentials = authority.server(&pki, &hosts, now)?;
        // Made before it is needed: a start that can't write to the folder says so.
        authority.signer(&pki, now)?;
        let store = Arc::new(Store::open(&data)?);
        let gate = Arc::new(Gate::open(&store)?);
        let token_file = data.join("first-operator.token");
        let operator = invite_operator(&store, &authority, operator, &token_file, now)?;
        let hub = Hub::new(store.clone(), clock.clone())?;
        let studies = Studies::new(store.clone(), hub.clone(), clock.clone(), keep);
        store.record_deed("coordinator", "start", env!("CARGO_PKG_VERSION"), now)?;
        let context = Arc::new(Context {
            store,
            authority,
            gate,
            hub,
            studies,
            clock,
            pki,
            token_file,
            stopping: watch::Sender::new(false),
            seen: Mutex::default(),
        });
        Ok(Self { context, credentials, hosts, operator, _lock: lock })
    }

    /// What sites and people compare out of band.
    pub fn fingerprint(&self) -> Fingerprint {
        self.context.authority.fingerprint()
    }

    /// The one-time operator token that this start made, if it made one.
    pub fn operator_token(&self) -> Option<&OperatorToken> {
        self.operator.as_ref()
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.context.store
    }

    /// The hub.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.context.hub
    }

    /// Goes on with every study that isn't over, and serves until `shutdown` completes: long calls
    /// end then, short ones may finish.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let context = self.context.clone();
        context.studies.resume()?;
        let server = Server::new(
            self.credentials.clone(),
            context.authority.certificate(),
            context.gate.clone(),
        )?
        .clock(context.clock.clone());
        let stopping = context.clone();
        let shutdown = async move {
            shutdown.await;
            tracing::info!("stopping");
            stopping.stopping.send_replace(true);
        };
        let renewing = tokio::spawn(renew_daily(
            context.clone(),
            self.credentials.clone(),
            self.hosts.clone(),
        ));
        let served = server.serve(listener, routes(&context), shutdown).await;
        renewing.abort();
        context.store.record_deed("coordinator", "stop", "", context.clock.now())?;
        Ok(served?)
    }
}

fn routes(context: &Arc<Context>) -> Routes {
    let enrolment = EnrolmentServer::new(Enrolment(context.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let site_link = SiteLinkServer::new(SiteLink(context.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let console = ConsoleServer::new(Console(context.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::new(enrolment).add_service(site_link).add_service(console)
}

/// Two coordinators on one folder would hand out the same work twice.
fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join("lock");
    let failed = |source| StartError::File { path: path.clone(), source };
    os::create_private_folder(data).map_err(failed)?;
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(data.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn invite_operator(
    store: &Store,
    authority: &Authority,
    operator: OperatorInvite,
    file: &Path,
    now: Timestamp,
) -> Result<Option<OperatorToken>, StartError> {
    let user = match operator {
        OperatorInvite::Now(user) => user,
        OperatorInvite::WhenEmpty(user) if !store.has_users()? => user,
        OperatorInvite::WhenEmpty(_) => return Ok(None),
    };
    let token = InviteToken::generate(&authority.fingerprint());
    let expires = now.plus_ms(FIRST_TOKEN_MS);
    let invitee = Invitee::User(user.clone(), Role::Operator);
    store.add_invite(&token.hash().digest(), &invitee, expires)?;
    store.record_deed("coordinator", "invite", &format!("user:{user} (operator)"), now)?;
    os::write_private(file, &format!("{}\n", token.reveal()))
        .map_err(|source| StartError::File { path: file.to_owned(), source })?;
    Ok(Some(OperatorToken { user, file: file.to_owned(), expires }))
}

async fn renew_daily(context: Arc<Context>, credentials: Credentials, hosts: Hosts) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let now = context.clock.now();
        let renewed = context.authority.renew_server(&credentials, &context.pki, &hosts, now);
        if let Err(error) = renewed {
            tracing::error!(%error, "the server's certificate can't be renewed");
        }
    }
}
