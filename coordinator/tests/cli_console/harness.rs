//! A coordinator in this process, and people and sites who call it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use wardround::hub::Hub;
use wardround::service::{Coordinator, OperatorInvite, Options, StartError};
use wardround::store::Store;
use wardround_core::clock::{Clock, ManualClock, SystemClock};
use wardround_core::ids::UserId;
use wardround_learn::recorded::Keep;
use wardround_net::client::{Address, Endpoint, Trust};
use wardround_net::pki::{Enrolled, Hosts, Wallet, certificate_from_pem};
use wardround_net::server::Refusal;
use wardround_proto::v1::{
    self, console_client::ConsoleClient, enrolment_client::EnrolmentClient,
    site_link_client::SiteLinkClient,
};

/// A running coordinator.
pub struct Running {
    pub address: SocketAddr,
    pub clock: Arc<ManualClock>,
    pub store: Arc<Store>,
    pub hub: Arc<Hub>,
    pub folder: tempfile::TempDir,
    pub operator_token: PathBuf,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), StartError>>,
}

pub fn options(data: &Path, clock: Arc<dyn Clock>) -> Options {
    Options {
        data: data.to_owned(),
        name: Some("Test".into()),
        hosts: Hosts::parse(["127.0.0.1"]).expect("it is well-formed"),
        operator: OperatorInvite::WhenEmpty(UserId::parse("olga").expect("it is well-formed")),
        keep: Keep::default(),
        clock,
    }
}

impl Running {
    pub async fn start() -> Self {
        wardround_net::install_crypto_provider();
        let folder = tempfile::tempdir().expect("the folder is writable");
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let coordinator = Coordinator::open(options(&folder.path().join("data"), clock.clone()))
            .expect("a fresh folder can be opened");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("loopback has a free port");
        let operator_token =
            coordinator.operator_token().expect("nobody has joined yet").file.clone();
        let (store, hub) = (coordinator.store().clone(), coordinator.hub().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(coordinator.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { address, clock, store, hub, folder, operator_token, stop, serving }
    }

    pub fn at(&self) -> Address {
        self.address.to_string().parse().expect("it is well-formed")
    }

    /// A fresh wallet.
    pub fn wallet(&self, name: &str) -> Wallet {
        Wallet::open(self.folder.path().join(name)).expect("the folder is writable")
    }

    /// Asks to join; nothing is stored at the joiner.
    pub async fn ask(&self, token: &str, wallet: &Wallet) -> Result<v1::JoinReply, Status> {
        ask(self.at(), &self.folder.path().join("data"), token, wallet).await
    }

    pub async fn join(&self, token: &str, name: &str) -> Enrolled {
        let wallet = self.wallet(name);
        let reply = self
            .ask(token, &wallet)
            .await
            .expect("an operator may invite, who is invited may join");
        wallet.accept(&reply.certificate_pem, &reply.ca_pem).expect("keys can be made")
    }

    /// The first operator.
    pub async fn operator(&self) -> Enrolled {
        let token = std::fs::read_to_string(&self.operator_token).expect("the folder is writable");
        self.join(token.trim(), "olga").await
    }

    pub fn console(&self, who: &Enrolled) -> ConsoleClient<Channel> {
        ConsoleClient::new(Endpoint::enrolled(self.at(), who).connect_lazy())
    }

    pub fn site_link(&self, who: &Enrolled) -> SiteLinkClient<Channel> {
        SiteLinkClient::new(Endpoint::enrolled(self.at(), who).connect_lazy())
    }

    pub async fn invite_user(&self, by: &Enrolled, name: &str, role: &str) -> String {
        let who = Some(v1::invite_request::Who::User(name.into()));
        let request = v1::InviteRequest { who, role: role.into(), valid_s: 0 };
        self.console(by)
            .invite(request)
            .await
            .expect("an operator may invite, who is invited may join")
            .into_inner()
            .token
    }

    pub async fn invite_site(&self, by: &Enrolled, name: &str) -> String {
        let who = Some(v1::invite_request::Who::Site(name.into()));
        let request = v1::InviteRequest { who, role: String::new(), valid_s: 0 };
        self.console(by)
            .invite(request)
            .await
            .expect("an operator may invite, who is invited may join")
            .into_inner()
            .token
    }

    pub async fn user(&self, by: &Enrolled, name: &str, role: &str) -> Enrolled {
        let token = self.invite_user(by, name, role).await;
        self.join(&token, name).await
    }

    pub async fn site(&self, by: &Enrolled, name: &str) -> Enrolled {
        let token = self.invite_site(by, name).await;
        self.join(&token, name).await
    }

    pub async fn stop(self) {
        self.stop.send(()).expect("it serves until it is stopped");
        self.serving
            .await
            .expect("it serves until it is stopped")
            .expect("it serves until it is stopped");
    }
}

/// Asks a coordinator with this data folder to join.
pub async fn ask(
    address: Address,
    data: &Path,
    token: &str,
    wallet: &Wallet,
) -> Result<v1::JoinReply, Status> {
    let ca = std::fs::read_to_string(data.join("pki/ca.pem")).expect("the folder is writable");
    let trust = Trust::Root(certificate_from_pem(&ca).expect("keys can be made"));
    let mut client = EnrolmentClient::new(Endpoint::new(address, trust).connect_lazy());
    let request = v1::JoinRequest {
        token: token.to_owned(),
        csr_der: wallet.request().expect("keys can be made"),
        software: "test".into(),
        kind: String::new(),
    };
    Ok(client.join(request).await?.into_inner())
}

pub fn user_named(name: &str) -> v1::RevokeRequest {
    v1::RevokeRequest { who: Some(v1::revoke_request::Who::User(name.into())) }
}

pub fn site_named(name: &str) -> v1::RevokeRequest {
    v1::RevokeRequest { who: Some(v1::revoke_request::Who::Site(name.into())) }
}

/// Whether a call was turned away because of who made it.
pub fn is_refused<T>(result: &Result<T, Status>) -> bool {
    match result {
        Ok(_) => false,
        Err(status) => {
            matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
        }
    }
}

pub fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> Refusal {
    Refusal::of_status(&result.expect_err("a refusal")).expect("a refusal at the door")
}
