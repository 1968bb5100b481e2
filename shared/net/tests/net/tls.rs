//! Real TLS on loopback: who gets in, who doesn't, and what each is told.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{DAY, Running, Setup, call, enrol, loopback, now, site, start, who};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;
use wardround_core::clock::ManualClock;
use wardround_core::ids::{Role, UserId};
use wardround_net::client::{Address, ConnectError, Endpoint, Stage, Trust};
use wardround_net::invite::InviteToken;
use wardround_net::pki::{Authority, Hosts, Identity};
use wardround_net::retry::{Policy, Transient, retrying};
use wardround_net::server::{Limits, Refusal};

fn consortium() -> Authority {
    Authority::in_memory("test", now()).expect("a root")
}

fn why(failed: Result<String, Status>) -> ConnectError {
    let status = failed.expect_err("it fails");
    ConnectError::of_status(&status).unwrap_or_else(|| panic!("no reason in {status:?}"))
}

#[tokio::test]
async fn a_site_and_a_person_are_recognised_by_their_certificates() {
    let ca = consortium();
    let server = start(&ca, Setup::of(&ca)).await;
    let vienna = enrol(&ca, &site("vienna_dias"), DAY, now());
    let answer = who(&server.as_peer(&vienna)).await.unwrap();
    assert!(answer.starts_with("wardround://site/vienna_dias at 127.0.0.1:"), "{answer}");
    let ada = Identity::User { name: UserId::parse("ada").unwrap(), role: Role::Operator };
    let answer = who(&server.as_peer(&enrol(&ca, &ada, DAY, now()))).await.unwrap();
    assert!(answer.starts_with("wardround://user/ada?role=operator at "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn whoever_shows_no_certificate_is_nobody() {
    let ca = consortium();
    let server = start(&ca, Setup::of(&ca)).await;
    let answer = who(&server.as_nobody(&ca)).await.unwrap();
    assert!(answer.starts_with("nobody known at "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_consortium_is_refused_even_under_the_same_name() {
    let ca = consortium();
    let server = start(&ca, Setup::of(&ca)).await;
    for name in ["test", "other"] {
        let stranger_ca = Authority::in_memory(name, now()).unwrap();
        let stranger = enrol(&stranger_ca, &site("a"), DAY, now());
        let error = why(who(&server.as_nobody(&ca).credentials(stranger.credentials)).await);
        assert!(matches!(error, ConnectError::Foreign { .. }), "{error:?}");
        assert!(!error.is_transient());
    }
    server.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_both_sides_say_so() {
    let ca = consortium();
    let log = Log::default();
    let _guard = log.capture();
    let server = start(&ca, Setup::of(&ca)).await;
    let month_ago = now().plus_ms(-30 * 24 * 3600 * 1000);
    let late = enrol(&ca, &site("late"), DAY, month_ago);
    let error = why(who(&server.as_peer(&late)).await);
    assert!(matches!(error, ConnectError::Expired), "{error:?}");
    assert!(error.to_string().contains("fresh token"), "{error}");
    server.stop().await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("handshake refused")).unwrap();
    for part in
        ["WARN", "127.0.0.1:", "wardround://site/late", &late.me.serial.to_string(), "expired"]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn a_revocation_works_at_once_on_an_open_connection_and_a_running_call() {
    let ca = consortium();
    let log = Log::default();
    let _guard = log.capture();
    let server = start(&ca, Setup::of(&ca)).await;
    let bad = enrol(&ca, &site("bad"), DAY, now());
    let good = enrol(&ca, &site("good"), DAY, now());
    let (bad_channel, good_channel) =
        (server.as_peer(&bad).connect_lazy(), server.as_peer(&good).connect_lazy());
    call(&bad_channel, "/test.Echo/Who").await.unwrap();

    let polling = tokio::spawn({
        let channel = bad_channel.clone();
        async move { call(&channel, "/test.Echo/Wait").await }
    });
    server.echo.entered.notified().await;
    server.gate.revoke(&site("bad"));
    server.echo.release.notify_one();
    for refused in [polling.await.unwrap(), call(&bad_channel, "/test.Echo/Who").await] {
        let error = why(refused);
        assert!(matches!(error, ConnectError::Refused { reason: Refusal::Revoked }), "{error:?}");
        assert!(error.to_string().contains("revoked by an operator"), "{error}");
    }
    call(&good_channel, "/test.Echo/Who").await.unwrap();
    server.stop().await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("request refused")).unwrap();
    assert!(
        line.contains("wardround://site/bad at 127.0.0.1:") && line.contains("revoked"),
        "{line}"
    );
}

#[tokio::test]
async fn a_certificate_that_ends_while_connected_ends_the_access() {
    let ca = consortium();
    let clock = Arc::new(ManualClock::at(now()));
    let server = start(&ca, Setup { clock: clock.clone(), ..Setup::of(&ca) }).await;
    let endpoint = server.as_peer(&enrol(&ca, &site("a"), DAY, now()));
    let channel = endpoint.connect_lazy();
    call(&channel, "/test.Echo/Who").await.unwrap();
    clock.advance_ms(25 * 3600 * 1000);
    let error = why(call(&channel, "/test.Echo/Who").await);
    assert!(matches!(error, ConnectError::Refused { reason: Refusal::Expired }), "{error:?}");
    let error = why(who(&endpoint).await);
    assert!(matches!(error, ConnectError::Expired), "{error:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_rotated_certificate_is_used_by_the_next_connection() {
    let ca = consortium();
    let server = start(&ca, Setup::of(&ca)).await;
    let old = enrol(&ca, &site("old"), DAY, now());
    let endpoint = server.as_peer(&old);
    assert!(who(&endpoint).await.unwrap().contains("site/old"));
    let folder = tempfile::tempdir().unwrap();
    let wallet = wardround_net::pki::Wallet::open(folder.path()).unwrap();
    let issued = ca.issue(&wallet.request().unwrap(), &site("new"), DAY, now()).unwrap();
    let new = wallet.accept(&issued.pem, &ca.certificate_pem()).unwrap();
    old.credentials.take_over(&new.credentials);
    assert!(who(&endpoint).await.unwrap().contains("site/new"));
    server.stop().await;
}

#[tokio::test]
async fn tls_1_2_is_refused_on_both_sides() {
    let ca = consortium();
    let server = start(&ca, Setup::of(&ca)).await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let error = old_client(&ca).connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    server.stop().await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let old = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        old_server().accept(tcp).await.map(drop)
    });
    let endpoint = Endpoint::new(address, Trust::Root(ca.certificate().clone()));
    let error = endpoint.probe().await.unwrap_err();
    assert!(matches!(error, ConnectError::TlsVersion { .. }), "{error:?}");
    assert!(old.await.unwrap().is_err());
}

#[tokio::test]
async fn an_invite_finds_its_own_coordinator_and_no_other() {
    let ca = consortium();
    let server = start(&ca, Setup::of(&ca)).await;
    let token = InviteToken::generate(&ca.fingerprint());
    let right = Endpoint::new(server.at(), Trust::Pinned(token.pin()));
    assert!(who(&right).await.unwrap().starts_with("nobody known"));

    let other = InviteToken::generate(&Authority::in_memory("test", now()).unwrap().fingerprint());
    let wrong = Endpoint::new(server.at(), Trust::Pinned(other.pin()));
    let error = wrong.probe().await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::WrongFingerprint { shown, .. } if *shown == ca.fingerprint()),
        "{error:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn showing_the_real_root_beside_a_forged_certificate_does_not_help() {
    let ca = consortium();
    let forger = consortium();
    let (chain, key) = forged_chain(&forger, &ca);
    let mut setup = Setup::of(&ca);
    setup.credentials = wardround_net::pki::Credentials::new(chain, key).unwrap();
    let server = start(&ca, setup).await;
    let endpoint = Endpoint::new(server.at(), Trust::Pinned(ca.fingerprint().prefix()));
    let error = endpoint.probe().await.unwrap_err();
    assert!(matches!(error, ConnectError::UnknownCa { .. }), "{error:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_named_with_its_issuer() {
    let (ours, proxy) = (consortium(), Authority::in_memory("ProxyCorp", now()).unwrap());
    let server = start(&proxy, Setup::of(&proxy)).await;
    let error = server.as_nobody(&ours).probe().await.unwrap_err();
    assert!(matches!(error, ConnectError::UnknownCa { .. }), "{error:?}");
    assert!(error.to_string().contains("ProxyCorp"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_name_and_wrong_dates_are_told_apart() {
    let ca = consortium();
    let mut setup = Setup::of(&ca);
    let elsewhere = Hosts::parse(["c.example"]).unwrap();
    setup.credentials = ca.server_in_memory(&elsewhere, DAY, now()).unwrap();
    let server = start(&ca, setup).await;
    let error = server.as_nobody(&ca).probe().await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::WrongName { host, names } if host == "127.0.0.1" && names.contains("c.example")),
        "{error:?}"
    );
    server.stop().await;

    for days in [-30, 30] {
        let mut setup = Setup::of(&ca);
        let at = now().plus_ms(days * 24 * 3600 * 1000);
        setup.credentials = ca.server_in_memory(&loopback(), DAY, at).unwrap();
        let server = start(&ca, setup).await;
        let error = server.as_nobody(&ca).probe().await.unwrap_err();
        assert!(matches!(error, ConnectError::ServerDates { .. }), "{error:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_port_with_nobody_something_else_or_silence_is_told_apart() {
    let ca = consortium();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let endpoint = Endpoint::new(address, Trust::Root(ca.certificate().clone()));

    let silent = endpoint.clone().connect_timeout(Duration::from_secs(1));
    let error = silent.probe().await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { stage: Stage::Tls, .. }), "{error:?}");

    let web = tokio::spawn(async move {
        // The silent dial above still waits in the queue.
        for _ in 0..2 {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = endpoint.probe().await.unwrap_err();
    assert!(matches!(error, ConnectError::NotTls { .. }), "{error:?}");
    web.await.unwrap();

    let error = why(who(&endpoint).await);
    assert!(matches!(error, ConnectError::Tcp { .. }) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn strangers_have_their_own_places() {
    let ca = consortium();
    let limits = Limits { anonymous: 1, ..Limits::default() };
    let server = start(&ca, Setup { limits, ..Setup::of(&ca) }).await;
    let first = server.as_nobody(&ca).connect_lazy();
    call(&first, "/test.Echo/Who").await.unwrap();
    let error = server.as_nobody(&ca).probe().await.unwrap_err();
    assert!(matches!(error, ConnectError::Closed { .. }) && error.is_transient(), "{error:?}");
    who(&server.as_peer(&enrol(&ca, &site("a"), DAY, now()))).await.unwrap();
    drop(first);
    let nobody = server.as_nobody(&ca);
    retrying(Policy::PATIENT, || nobody.probe()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_lets_a_running_call_finish_or_cuts_it_after_the_grace_time() {
    let ca = consortium();
    let peer = enrol(&ca, &site("a"), DAY, now());
    let waiting = |server: &Running| {
        let channel = server.as_peer(&peer).connect_lazy();
        tokio::spawn(async move { call(&channel, "/test.Echo/Wait").await })
    };
    let server = start(&ca, Setup::of(&ca)).await;
    let (finishes, release) = (waiting(&server), server.echo.release.clone());
    server.echo.entered.notified().await;
    let stopping = tokio::spawn(server.stop());
    tokio::task::yield_now().await;
    release.notify_one();
    stopping.await.unwrap();
    assert!(finishes.await.unwrap().is_ok());

    let limits = Limits { shutdown_grace: Duration::ZERO, ..Limits::default() };
    let server = start(&ca, Setup { limits, ..Setup::of(&ca) }).await;
    let cut = waiting(&server);
    server.echo.entered.notified().await;
    server.stop().await;
    let status = cut.await.unwrap().unwrap_err();
    assert!(status.is_transient(), "{status:?}");
}

#[tokio::test]
async fn a_channel_comes_back_after_the_coordinator_restarts() {
    let ca = consortium();
    let peer = enrol(&ca, &site("a"), DAY, now());
    let server = start(&ca, Setup::of(&ca)).await;
    let address = server.address;
    let channel = server.as_peer(&peer).connect_lazy();
    call(&channel, "/test.Echo/Who").await.unwrap();
    server.stop().await;
    assert!(call(&channel, "/test.Echo/Who").await.unwrap_err().is_transient());
    let server = start(&ca, Setup { bind: address, ..Setup::of(&ca) }).await;
    retrying(Policy::PATIENT, || call(&channel, "/test.Echo/Who")).await.unwrap();
    server.stop().await;
}

/// A leaf of the forger's with the real root behind it, and its key.
fn forged_chain(
    forger: &Authority,
    real: &Authority,
) -> (Vec<rustls::pki_types::CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>) {
    use rustls::pki_types::pem::PemObject;
    let folder = tempfile::tempdir().expect("a folder");
    forger.server(folder.path(), &loopback(), now()).expect("a certificate");
    let pem = std::fs::read(folder.path().join("server.pem")).expect("server.pem");
    let leaf = rustls::pki_types::CertificateDer::from_pem_slice(&pem).expect("a leaf");
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&pem).expect("a key");
    (vec![leaf, real.certificate().clone()], key)
}

fn old_client(ca: &Authority) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.certificate().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2 with aws-lc-rs")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

fn old_server() -> tokio_rustls::TlsAcceptor {
    let ca = consortium();
    let (chain, key) = forged_chain(&ca, &ca);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2 with aws-lc-rs")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("TLS 1.2 with aws-lc-rs");
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// What this test's thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("text")
    }
}

impl Write for Log {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().expect("nobody panicked"), data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
