//! The root, what it signs, and what a participant keeps.

use std::fs;

use crate::harness::{DAY, enrol, loopback, now, site};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use wardround_core::ids::{Role, UserId};
use wardround_net::pki::{
    Authority, Fingerprint, Hosts, Identity, PeerIdentity, PkiError, SERVER_LIFETIME,
    SIGNER_LIFETIME, SignatureError, Wallet, certificate_from_pem, issued_by, judge_signature,
};
use x509_parser::prelude::{FromDer, X509Certificate};

#[test]
fn the_root_is_made_once_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let made = Authority::open_or_create(folder.path(), "test", now()).unwrap();
    let opened = Authority::open_or_create(folder.path(), "another name", now()).unwrap();
    assert_eq!(made.fingerprint(), opened.fingerprint());
    // The opened root signs what the made one verifies.
    let peer = enrol(&opened, &site("a"), DAY, now());
    let leaf = peer.credentials.certificate();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let (_, root) = X509Certificate::from_der(made.certificate()).unwrap();
    leaf.verify_signature(Some(root.public_key())).unwrap();
    assert_eq!(root.subject().to_string(), "CN=Wardround consortium test");
    assert!(root.is_ca());

    fs::remove_file(folder.path().join("ca.key")).unwrap();
    let error = Authority::open_or_create(folder.path(), "test", now()).unwrap_err();
    assert!(matches!(error, PkiError::KeyMissing { .. }), "{error}");
    assert!(!folder.path().join("ca.key").exists());
}

#[test]
fn a_first_start_that_was_cut_between_key_and_certificate_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    Authority::open_or_create(folder.path(), "test", now()).unwrap();
    fs::remove_file(folder.path().join("ca.pem")).unwrap();
    let again = Authority::open_or_create(folder.path(), "test", now()).unwrap();
    let opened = Authority::open_or_create(folder.path(), "test", now()).unwrap();
    assert_eq!(again.fingerprint(), opened.fingerprint());
}

#[test]
fn a_key_of_another_root_is_noticed() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Authority::open_or_create(one.path(), "test", now()).unwrap();
    Authority::open_or_create(two.path(), "test", now()).unwrap();
    fs::copy(two.path().join("ca.key"), one.path().join("ca.key")).unwrap();
    let error = Authority::open_or_create(one.path(), "test", now()).unwrap_err();
    assert!(error.to_string().contains("not the one in ca.key"), "{error}");
}

#[cfg(unix)]
#[test]
fn keys_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::open_or_create(folder.path(), "test", now()).unwrap();
    ca.server(folder.path(), &loopback(), now()).unwrap();
    ca.signer(folder.path(), now()).unwrap();
    let wallet = Wallet::open(folder.path().join("site")).unwrap();
    let request = wallet.request().unwrap();
    let closed = |file: &str| {
        let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    };
    closed("site/pending.key");
    let issued = ca.issue(&request, &site("a"), DAY, now()).unwrap();
    wallet.accept(&issued.pem, &ca.certificate_pem()).unwrap();
    for file in ["ca.key", "server.pem", "signing.pem", "site/identity.pem"] {
        closed(file);
    }
}

#[test]
fn the_coordinator_decides_what_a_certificate_says() {
    let ca = Authority::in_memory("test", now()).unwrap();
    // A request that claims a name, an identity and a right to sign.
    let key = KeyPair::generate().unwrap();
    let mut claims = CertificateParams::default();
    claims.distinguished_name.push(DnType::CommonName, "root");
    claims.subject_alt_names =
        vec![SanType::URI("wardround://user/root?role=operator".try_into().unwrap())];
    claims.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = claims.serialize_request(&key).unwrap();
    let issued = ca.issue(request.der(), &site("a"), DAY, now()).unwrap();
    assert_eq!(issued.peer.identity, site("a"));
    let der = certificate_from_pem(&issued.pem).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=a");
    assert!(!certificate.is_ca());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
}

#[test]
fn a_certificate_starts_five_minutes_back_and_ends_in_time() {
    let ca = Authority::in_memory("test", now()).unwrap();
    let at = now();
    let peer = enrol(&ca, &site("a"), DAY, at);
    let leaf = peer.credentials.certificate();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let seconds = at.0.div_euclid(1000);
    assert_eq!(leaf.validity().not_before.timestamp(), seconds - 300);
    assert_eq!(leaf.validity().not_after.timestamp(), seconds + 24 * 3600);
    assert_eq!(peer.me.not_after.0, (seconds + 24 * 3600) * 1000);
    let other = enrol(&ca, &site("a"), DAY, at);
    assert_ne!(peer.me.serial, other.me.serial);
    assert_eq!(peer.me.serial.to_string().parse(), Ok(peer.me.serial));
}

#[test]
fn a_damaged_request_and_another_kind_of_key_are_refused() {
    let ca = Authority::in_memory("test", now()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut request = Wallet::open(folder.path()).unwrap().request().unwrap();
    let last = request.len() - 1;
    request[last] ^= 1;
    let error = ca.issue(&request, &site("a"), DAY, now()).unwrap_err();
    assert!(matches!(error, PkiError::Request(_)), "{error}");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let error = ca.issue(request.der(), &site("a"), DAY, now()).unwrap_err();
    assert!(error.to_string().contains("P-256"), "{error}");
    assert!(ca.issue(b"nonsense", &site("a"), DAY, now()).is_err());
}

#[test]
fn the_servers_certificate_is_kept_until_it_lacks_a_host_or_runs_out() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::open_or_create(folder.path(), "test", now()).unwrap();
    let at = now();
    let leaf = |hosts: &Hosts, at| ca.server(folder.path(), hosts, at).unwrap().certificate();
    let hosts = |names: &[&str]| Hosts::parse(names.iter().copied()).unwrap();
    let both = hosts(&["c.example", "127.0.0.1", "::1"]);
    let first = leaf(&both, at);
    assert_eq!(leaf(&both, at), first);
    assert_eq!(leaf(&hosts(&["127.0.0.1"]), at), first);
    let wider = hosts(&["c.example", "d.example"]);
    let second = leaf(&wider, at);
    assert_ne!(second, first);
    let days = |days: i64| at.plus_ms(days * 24 * 3600 * 1000);
    assert_eq!(leaf(&wider, days(59)), second);
    let third = leaf(&wider, days(61));
    assert_ne!(third, second);
    assert_eq!(SERVER_LIFETIME, DAY * 90);

    let running = ca.server(folder.path(), &wider, days(61)).unwrap();
    ca.renew_server(&running, folder.path(), &wider, days(200)).unwrap();
    assert_ne!(running.certificate(), third);
    // Another root signed it: useless, made anew.
    let other = Authority::in_memory("test", now()).unwrap();
    let last = running.certificate();
    assert_ne!(other.server(folder.path(), &wider, days(200)).unwrap().certificate(), last);
}

#[test]
fn hosts_are_names_or_addresses() {
    for bad in ["", "a b", "c.example:443", "https://c.example"] {
        assert!(matches!(Hosts::parse([bad]), Err(PkiError::Host(_))), "{bad}");
    }
    assert!(Hosts::parse([]).is_err());
    assert_eq!(Hosts::parse(["C.Example"]).unwrap(), Hosts::parse(["c.example"]).unwrap());
}

#[test]
fn a_wallet_asks_with_the_same_key_until_it_is_answered() {
    let ca = Authority::in_memory("test", now()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wallet = Wallet::open(folder.path()).unwrap();
    assert!(matches!(wallet.load(), Err(PkiError::NotEnrolled(_))));
    wallet.request().unwrap();
    let key = fs::read(folder.path().join("pending.key")).unwrap();
    let request = wallet.request().unwrap();
    assert_eq!(fs::read(folder.path().join("pending.key")).unwrap(), key);

    let foreign = {
        let other = tempfile::tempdir().unwrap();
        let request = Wallet::open(other.path()).unwrap().request().unwrap();
        ca.issue(&request, &site("a"), DAY, now()).unwrap()
    };
    let error = wallet.accept(&foreign.pem, &ca.certificate_pem()).unwrap_err();
    assert!(matches!(error, PkiError::Pair(_)), "{error}");
    assert!(matches!(wallet.load(), Err(PkiError::NotEnrolled(_))));

    let ada = Identity::User { name: UserId::parse("ada").unwrap(), role: Role::Lead };
    let issued = ca.issue(&request, &ada, DAY, now()).unwrap();
    wallet.accept(&issued.pem, &ca.certificate_pem()).unwrap();
    let enrolled = Wallet::open(folder.path()).unwrap().load().unwrap();
    assert_eq!(enrolled.me, issued.peer);
    assert_eq!(wallet.ca_fingerprint().unwrap(), ca.fingerprint());
    assert!(!folder.path().join("pending.key").exists());

    // A rotation makes a new key beside the old one, which works until the answer is here.
    let request = wallet.request().unwrap();
    assert_eq!(wallet.load().unwrap().me, issued.peer);
    let renewed = ca.issue(&request, &ada, DAY, now()).unwrap();
    wallet.accept(&renewed.pem, &ca.certificate_pem()).unwrap();
    assert_eq!(wallet.load().unwrap().me.serial, renewed.peer.serial);
    wallet.purge().unwrap();
    assert!(matches!(wallet.load(), Err(PkiError::NotEnrolled(_))));
}

#[test]
fn a_certificate_without_our_name_or_with_two_is_nobody() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["c.example".to_owned()]).unwrap();
    let none = params.self_signed(&key).unwrap();
    assert!(matches!(PeerIdentity::from_certificate(none.der()), Err(PkiError::NoIdentity(_))));
    for name in ["a", "b"] {
        let uri = format!("wardround://site/{name}").try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
    }
    let two = params.self_signed(&key).unwrap();
    let error = PeerIdentity::from_certificate(two.der()).unwrap_err().to_string();
    assert!(error.contains("2 wardround names"), "{error}");
    assert!(PeerIdentity::from_certificate(b"x").is_err());
}

#[test]
fn the_key_that_signs_archives_is_kept_until_its_last_third_and_its_signatures_outlive_it() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::open_or_create(folder.path(), "test", now()).unwrap();
    let at = now();
    let days = |days: i64| at.plus_ms(days * 24 * 3600 * 1000);
    let signer = |at| ca.signer(folder.path(), at).unwrap();
    let first = signer(at);
    let signature = first.sign(b"a message").unwrap();
    assert_eq!(signer(days(700)).certificate_pem(), first.certificate_pem());
    let second = signer(days(3650));
    assert_ne!(second.certificate_pem(), first.certificate_pem());
    assert_eq!(SIGNER_LIFETIME, DAY * 3 * 365);

    let certificate = certificate_from_pem(&first.certificate_pem()).unwrap();
    let judge = |message: &[u8], signature: &[u8], certificate: &[u8], root: &[u8], at| {
        judge_signature(message, signature, certificate, root, at)
    };
    let vouched = judge(b"a message", &signature, &certificate, first.root(), at).unwrap();
    assert_eq!((vouched.root, vouched.signer), (ca.fingerprint(), Fingerprint::of(&certificate)));
    assert_eq!(vouched.root_name, "CN=Wardround consortium test");
    let wrong = judge(b"a massage", &signature, &certificate, first.root(), at);
    assert_eq!(wrong, Err(SignatureError::Wrong));
    for late in [days(3650), at.plus_ms(-24 * 3600 * 1000)] {
        let error = judge(b"a message", &signature, &certificate, first.root(), late).unwrap_err();
        assert!(matches!(error, SignatureError::OutsideItsTime { what: "signing", .. }), "{error}");
    }
    let other = Authority::in_memory("test", at).unwrap();
    let error = judge(b"a message", &signature, &certificate, other.certificate(), at).unwrap_err();
    assert!(matches!(error, SignatureError::Chain { .. }), "{error}");
    let site = enrol(&ca, &site("a"), DAY, at).credentials.certificate();
    let error = judge(b"a message", &signature, &site, first.root(), at).unwrap_err();
    assert!(matches!(error, SignatureError::Usage(_)), "{error}");
    let error = judge(b"a message", &signature, &certificate, &certificate, at).unwrap_err();
    assert!(matches!(error, SignatureError::NotARoot(_)), "{error}");
    let error = judge(b"a message", &signature, b"x", first.root(), at).unwrap_err();
    assert!(matches!(error, SignatureError::Unreadable { what: "signing", .. }), "{error}");
    // It stands for nobody, so it opens no connection.
    assert!(PeerIdentity::from_certificate(&certificate).is_err());
    // No certificate outlives the root that it is judged by.
    let last = signer(days(30 * 365 - 100));
    let certificate = certificate_from_pem(&last.certificate_pem()).unwrap();
    let (_, root) = X509Certificate::from_der(last.root()).unwrap();
    let validity = issued_by(&certificate, last.root()).unwrap();
    assert_eq!(validity.to.0 / 1000, root.validity().not_after.timestamp());
}
