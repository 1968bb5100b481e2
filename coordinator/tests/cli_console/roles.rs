//! Each call of the console and who may make it, as a table.

use tonic::Status;
use wardround_net::client::{Endpoint, Trust};
use wardround_net::pki::Enrolled;
use wardround_proto::v1::{self, console_client::ConsoleClient, site_link_client::SiteLinkClient};

use crate::harness::{Running, is_refused, user_named};

/// Call, then whether lead, operator, auditor, a site and a caller without certificate may.
const TABLE: [(&str, [bool; 5]); 15] = [
    ("who am I", [true, true, true, false, false]),
    ("renew", [true, true, true, false, false]),
    ("invite a site", [false, true, false, false, false]),
    ("invite a user", [false, true, false, false, false]),
    ("revoke", [false, true, false, false, false]),
    ("list sites", [true, true, false, false, false]),
    ("list users", [false, true, false, false, false]),
    ("plan", [true, false, false, false, false]),
    ("submit", [true, false, false, false, false]),
    ("abort", [true, false, false, false, false]),
    ("watch", [true, false, false, false, false]),
    ("list studies", [true, true, true, false, false]),
    ("fetch a report", [true, false, true, false, false]),
    ("fetch an export", [true, false, true, false, false]),
    ("history", [true, false, true, false, false]),
];

async fn call(
    client: &mut ConsoleClient<tonic::transport::Channel>,
    name: &str,
    csr: Vec<u8>,
) -> Result<(), Status> {
    let study = || "s1-000000".to_owned();
    let site = v1::InviteRequest {
        who: Some(v1::invite_request::Who::Site("x".into())),
        ..v1::InviteRequest::default()
    };
    let user = v1::InviteRequest {
        who: Some(v1::invite_request::Who::User("x".into())),
        role: "auditor".into(),
        valid_s: 60,
    };
    let members = |kind: &str| v1::ListMembersRequest { kind: kind.into() };
    let toml = "not a study".to_owned();
    let fetch =
        |artefact: v1::Artefact| v1::FetchRequest { study: study(), artefact: artefact.into() };
    match name {
        "who am I" => client.who_am_i(v1::WhoAmIRequest {}).await.map(drop),
        "renew" => client.renew_user(v1::RenewRequest { csr_der: csr }).await.map(drop),
        "invite a site" => client.invite(site).await.map(drop),
        "invite a user" => client.invite(user).await.map(drop),
        "revoke" => client.revoke(user_named("nobody")).await.map(drop),
        "list sites" => client.list_members(members("site")).await.map(drop),
        "list users" => client.list_members(members("user")).await.map(drop),
        "plan" => client.plan_study(v1::PlanStudyRequest { study_toml: toml }).await.map(drop),
        "submit" => {
            let request = v1::SubmitStudyRequest { study_toml: toml, ..Default::default() };
            client.submit_study(request).await.map(drop)
        }
        "abort" => client.abort_study(v1::AbortStudyRequest { study: study() }).await.map(drop),
        "watch" => {
            let request = v1::WatchStudyRequest { study: study(), after: 0, follow: false };
            client.watch_study(request).await.map(drop)
        }
        "list studies" => client.list_studies(v1::ListStudiesRequest {}).await.map(drop),
        "fetch a report" => client.fetch(fetch(v1::Artefact::ReportJson)).await.map(drop),
        "fetch an export" => client.fetch(fetch(v1::Artefact::Export)).await.map(drop),
        "history" => client.history(v1::HistoryRequest { after: 0 }).await.map(drop),
        other => panic!("no call '{other}'"),
    }
}

#[tokio::test]
async fn every_call_is_allowed_to_its_roles_alone() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let lead = running.user(&operator, "lea", "lead").await;
    let auditor = running.user(&operator, "ada", "auditor").await;
    let site = running.site(&operator, "a").await;
    let nobody = Endpoint::new(running.at(), Trust::Root(operator.ca.clone())).connect_lazy();
    let csr = running.wallet("renewing").request().unwrap();
    for (name, expected) in TABLE {
        let mut callers = [
            running.console(&lead),
            running.console(&operator),
            running.console(&auditor),
            running.console(&site),
            ConsoleClient::new(nobody.clone()),
        ];
        for (client, expected) in callers.iter_mut().zip(expected) {
            let answer = call(client, name, csr.clone()).await;
            assert_eq!(!is_refused(&answer), expected, "{name}: {answer:?}");
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn only_sites_reach_the_site_link() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let lead = running.user(&operator, "lea", "lead").await;
    let site = running.site(&operator, "a").await;
    async fn allowed(running: &Running, who: &Enrolled) -> [bool; 4] {
        let mut link = running.site_link(who);
        [
            !is_refused(&link.poll(v1::PollRequest::default()).await),
            !is_refused(&link.progress(v1::ProgressReport::default()).await),
            !is_refused(&link.submit(v1::Submission::default()).await),
            !is_refused(&link.get_chunk(v1::GetChunkRequest::default()).await),
        ]
    }
    assert_eq!(allowed(&running, &site).await, [true; 4]);
    assert_eq!(allowed(&running, &operator).await, [false; 4]);
    assert_eq!(allowed(&running, &lead).await, [false; 4]);
    let nobody = Endpoint::new(running.at(), Trust::Root(site.ca.clone())).connect_lazy();
    let poll = SiteLinkClient::new(nobody).poll(v1::PollRequest::default()).await;
    assert_eq!(poll.unwrap_err().code(), tonic::Code::Unauthenticated);
    running.stop().await;
}

#[tokio::test]
async fn what_people_do_is_written_down() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let auditor = running.user(&operator, "ada", "auditor").await;
    running.console(&operator).revoke(user_named("ada")).await.unwrap();
    let auditor_again = running.user(&operator, "ada", "auditor").await;
    drop(auditor);
    let history = running.console(&auditor_again).history(v1::HistoryRequest { after: 0 }).await;
    let deeds: Vec<String> = history
        .unwrap()
        .into_inner()
        .deeds
        .into_iter()
        .map(|deed| match deed.what.as_str() {
            "join" => format!("{} {}", deed.who, deed.what),
            _ => format!("{} {} {}", deed.who, deed.what, deed.subject),
        })
        .collect();
    assert_eq!(
        deeds,
        [
            "coordinator invite user:olga (operator)".to_owned(),
            format!("coordinator start {}", env!("CARGO_PKG_VERSION")),
            "user:olga join".into(),
            "user:olga invite user:ada (auditor)".into(),
            "user:ada join".into(),
            "user:olga revoke user:ada".into(),
            "user:olga invite user:ada (auditor)".into(),
            "user:ada join".into(),
            "user:ada read history ".into(),
        ]
    );
    running.stop().await;
}
