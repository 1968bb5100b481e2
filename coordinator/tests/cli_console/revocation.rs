//! Revocation: at once, also for what is under way; and leaving by oneself.

use wardround::store::{MemberState, NewStudy};
use wardround_core::clock::Clock as _;
use wardround_core::ids::{SiteId, UserId};
use wardround_net::server::Refusal;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use crate::harness::{Running, refusal, site_named, user_named};

fn poll(wait_ms: u32) -> v1::PollRequest {
    v1::PollRequest { wait_ms, software: "test".into(), ..v1::PollRequest::default() }
}

#[tokio::test]
async fn a_revoked_site_loses_its_running_poll_and_every_later_one() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let site = running.site(&operator, "a").await;
    let mut link = running.site_link(&site);
    let mut waiting = link.clone();
    let waiting = tokio::spawn(async move { waiting.poll(poll(20_000)).await });
    let a = SiteId::parse("a").unwrap();
    while !running.hub.is_connected(&a) {
        tokio::task::yield_now().await;
    }
    let mut console = running.console(&operator);
    let members = v1::ListMembersRequest { kind: "site".into() };
    let sites = console.list_members(members).await.unwrap().into_inner().members;
    assert!(sites[0].connected);
    console.revoke(site_named("a")).await.unwrap();
    assert_eq!(refusal(waiting.await.unwrap()), Refusal::Revoked);
    assert_eq!(refusal(link.poll(poll(0)).await), Refusal::Revoked);
    // A fresh token lets the hospital in again.
    let again = running.invite_site(&operator, "a").await;
    let wallet = running.wallet("again");
    let reply = running.ask(&again, &wallet).await.unwrap();
    let site = wallet.accept(&reply.certificate_pem, &reply.ca_pem).unwrap();
    running.site_link(&site).poll(poll(0)).await.unwrap();
    assert_eq!(refusal(link.poll(poll(0)).await), Refusal::Revoked, "the old key stays out");
    running.stop().await;
}

#[tokio::test]
async fn a_revoked_lead_loses_the_stream_they_watch() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let lead = running.user(&operator, "lea", "lead").await;
    let new = NewStudy {
        name: "Quiet".into(),
        toml: "format = 1".into(),
        sites: vec![],
        by: UserId::parse("lea").unwrap(),
        token: String::new(),
        parent: String::new(),
    };
    let (id, _) = running.store.add_study(&new, running.clock.now()).unwrap();
    running.store.add_event(&id, "log", "{}", running.clock.now()).unwrap();
    let request = v1::WatchStudyRequest { study: id.to_string(), after: 0, follow: true };
    let mut events = running.console(&lead).watch_study(request).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().sequence, 1);
    running.console(&operator).revoke(user_named("lea")).await.unwrap();
    assert_eq!(refusal(events.message().await), Refusal::Revoked);
    running.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_works_beside_the_old_one_until_both_are_revoked() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let old = running.user(&operator, "lea", "lead").await;
    let wallet = running.wallet("lea");
    let request = v1::RenewRequest { csr_der: wallet.request().unwrap() };
    let reply = running.console(&old).renew_user(request).await.unwrap().into_inner();
    let new = wallet.accept(&reply.certificate_pem, &reply.ca_pem).unwrap();
    assert_eq!(new.me.identity, old.me.identity);
    assert_ne!(new.me.serial, old.me.serial);
    for who in [&old, &new] {
        running.console(who).who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    }
    running.console(&operator).revoke(user_named("lea")).await.unwrap();
    for who in [&old, &new] {
        let answer = running.console(who).who_am_i(v1::WhoAmIRequest {}).await;
        assert_eq!(refusal(answer), Refusal::Revoked);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_site_that_leaves_is_out() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let site = running.site(&operator, "a").await;
    let mut link = running.site_link(&site);
    link.leave(v1::LeaveRequest {}).await.unwrap();
    assert!(running.store.enrolled_sites().unwrap().is_empty());
    let members = running.store.members("site").unwrap();
    assert_eq!(members[0].state, MemberState::Left);
    // It may call until its farewell is surely out.
    let refused = loop {
        if let Err(status) = link.poll(poll(0)).await {
            break Refusal::of_status(&status);
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, Some(Refusal::Revoked));
    running.stop().await;
}

#[tokio::test]
async fn nobody_revokes_themselves_or_who_is_not_there() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let mut console = running.console(&operator);
    let code = |status: &tonic::Status| Problem::from(status).code;
    let own = console.revoke(user_named("olga")).await.unwrap_err();
    assert_eq!(code(&own), ProblemCode::Conflict);
    let stranger = console.revoke(site_named("nowhere")).await.unwrap_err();
    assert_eq!(code(&stranger), ProblemCode::NotFound);
    running.stop().await;
}
