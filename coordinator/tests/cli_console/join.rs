//! Joining: once, within the time, with one key.

use tonic::Code;
use wardround::service::{Coordinator, Options, StartError};
use wardround_core::clock::{Clock as _, SystemClock};
use wardround_net::client::{ConnectError, Endpoint, Trust};
use wardround_net::invite::InviteToken;
use wardround_net::pki::{Authority, Fingerprint, Identity, SITE_LIFETIME};
use wardround_net::server::Refusal;
use wardround_proto::v1::{self, enrolment_client::EnrolmentClient};

use crate::harness::{Running, options, refusal};

#[tokio::test]
async fn the_first_operator_joins_with_the_token_in_the_folder() {
    let running = Running::start().await;
    let token = std::fs::read_to_string(&running.operator_token).unwrap();
    assert!(InviteToken::parse(&token).is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&running.operator_token).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let operator = running.operator().await;
    assert!(!running.operator_token.exists(), "a spent token isn't kept");
    let me = running.console(&operator).who_am_i(v1::WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!((me.id.as_str(), me.role.as_str()), ("olga", "operator"));
    assert_eq!(me.ca_fingerprint, Fingerprint::of(&operator.ca).to_string());
    running.stop().await;
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_coordinator_and_needs_a_name_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(SystemClock);
    let mut nameless = options(folder.path(), clock.clone());
    nameless.name = None;
    assert!(matches!(Coordinator::open(nameless), Err(StartError::NoName(_))));
    let first = Coordinator::open(options(folder.path(), clock.clone())).unwrap();
    let again = Coordinator::open(options(folder.path(), clock.clone()));
    assert!(matches!(again, Err(StartError::Locked(_))));
    let fingerprint = first.fingerprint();
    drop(first);
    let later = opened(|| Options { name: None, ..options(folder.path(), clock.clone()) });
    assert_eq!(later.fingerprint(), fingerprint);
    assert!(later.operator_token().is_some(), "nobody has joined yet");
}

#[tokio::test]
async fn a_token_works_once_but_a_cut_join_asks_again() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let token = running.invite_site(&operator, "a").await;
    let wallet = running.wallet("a");
    let lost = running.ask(&token, &wallet).await.unwrap();
    let reply = running.ask(&token, &wallet).await.unwrap();
    assert_ne!(lost.certificate_pem, reply.certificate_pem);
    assert_eq!((reply.kind.as_str(), reply.id.as_str()), ("site", "a"));
    let enrolled = wallet.accept(&reply.certificate_pem, &reply.ca_pem).unwrap();
    let poll = v1::PollRequest { software: "test".into(), ..v1::PollRequest::default() };
    running.site_link(&enrolled).poll(poll).await.unwrap();

    let thief = running.ask(&token, &running.wallet("thief")).await.unwrap_err();
    assert_eq!(thief.code(), Code::Unauthenticated);
    assert!(thief.message().contains("was used on"), "{}", thief.message());
    running.stop().await;
}

#[tokio::test]
async fn expired_damaged_unknown_and_missing_tokens_are_refused() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let late = running.invite_user(&operator, "late", "lead").await;
    running.clock.advance_ms(73 * 3600 * 1000);
    let taken_back = running.invite_site(&operator, "b").await;
    let revoke = crate::harness::site_named("b");
    running.console(&operator).revoke(revoke).await.unwrap();
    let elsewhere = InviteToken::generate(&Fingerprint::of(b"another root")).reveal();
    for (token, why) in [
        (late.as_str(), "ended on"),
        (&taken_back, "isn't known here"),
        (&elsewhere, "for another consortium"),
        (&late[..late.len() - 2], "damaged"),
        ("", "has the form"),
    ] {
        let status = running.ask(token, &running.wallet("late")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
        assert!(status.message().contains(why), "{}", status.message());
    }
    running.stop().await;
}

#[tokio::test]
async fn a_malformed_request_spends_no_token() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let token = running.invite_site(&operator, "a").await;
    let pin = InviteToken::parse(&token).unwrap().pin();
    let channel = Endpoint::new(running.at(), Trust::Pinned(pin)).connect_lazy();
    let mut wrong = running.wallet("a").request().unwrap();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let request = |csr_der, kind: &str| v1::JoinRequest {
        token: token.clone(),
        csr_der,
        software: String::new(),
        kind: kind.into(),
    };
    let as_person = request(running.wallet("a").request().unwrap(), "user");
    let status = EnrolmentClient::new(channel.clone()).join(as_person).await.unwrap_err();
    assert!(status.message().contains("wardround-site join"), "{}", status.message());
    for csr_der in [b"nonsense".to_vec(), wrong] {
        let request = request(csr_der, "site");
        let status = EnrolmentClient::new(channel.clone()).join(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    running.join(&token, "a").await;
    running.stop().await;
}

#[tokio::test]
async fn foreign_and_unregistered_certificates_are_refused() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let now = SystemClock.now();
    let identity: Identity = "wardround://user/olga?role=operator".parse().unwrap();

    let foreign = Authority::in_memory("Elsewhere", now).unwrap();
    let wallet = running.wallet("foreign");
    let issued = foreign.issue(&wallet.request().unwrap(), &identity, SITE_LIFETIME, now).unwrap();
    let mut enrolled = wallet.accept(&issued.pem, &foreign.certificate_pem()).unwrap();
    enrolled.ca = operator.ca.clone();
    let status = running.console(&enrolled).who_am_i(v1::WhoAmIRequest {}).await.unwrap_err();
    assert!(matches!(ConnectError::of_status(&status), Some(ConnectError::Foreign { .. })));

    // Signed with the right key, but never by this coordinator's own records.
    let pki = running.folder.path().join("data/pki");
    let genuine = Authority::open_or_create(&pki, "Test", now).unwrap();
    let wallet = running.wallet("unregistered");
    let issued = genuine.issue(&wallet.request().unwrap(), &identity, SITE_LIFETIME, now).unwrap();
    let enrolled = wallet.accept(&issued.pem, &genuine.certificate_pem()).unwrap();
    let answer = running.console(&enrolled).who_am_i(v1::WhoAmIRequest {}).await;
    assert_eq!(refusal(answer), Refusal::Unknown);
    running.stop().await;
}

/// Opens a folder whose lock was let go. A program that another test starts at the same moment has every open file, this lock too,
/// until it runs itself.
fn opened(options: impl Fn() -> Options) -> Coordinator {
    for _ in 0..500 {
        match Coordinator::open(options()) {
            Err(StartError::Locked(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return other.expect("a folder that nobody has"),
        }
    }
    panic!("the folder stays locked");
}
