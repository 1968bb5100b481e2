//! Reading what a study left.

use wardround::store::{Artefact, NewStudy, StudyState};
use wardround_core::clock::Clock as _;
use wardround_core::ids::UserId;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use crate::harness::Running;

#[tokio::test]
async fn an_auditor_reads_files_of_any_size_and_it_is_written_down() {
    let running = Running::start().await;
    let operator = running.operator().await;
    let auditor = running.user(&operator, "ada", "auditor").await;
    let new = NewStudy {
        name: "Large".into(),
        toml: "format = 1".into(),
        sites: vec![],
        by: UserId::parse("lea").unwrap(),
        token: String::new(),
        parent: String::new(),
    };
    let now = running.clock.now();
    let (id, _) = running.store.add_study(&new, now).unwrap();
    let fetch = async |artefact: v1::Artefact| {
        let request = v1::FetchRequest { study: id.to_string(), artefact: artefact.into() };
        let mut parts = running.console(&auditor).fetch(request).await?.into_inner();
        let (mut bytes, mut count) = (Vec::new(), 0);
        while let Some(part) = parts.message().await? {
            bytes.extend(part.data);
            count += 1;
        }
        Ok::<_, tonic::Status>((bytes, count))
    };
    let early = fetch(v1::Artefact::ReportHtml).await.unwrap_err();
    assert_eq!(Problem::from(&early).code, ProblemCode::Conflict);
    assert!(early.message().ends_with("is enlisting: it has no such file yet"));

    let page: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    running.store.put_artefact(&id, Artefact::ReportHtml, &page).unwrap();
    running.store.set_study_state(&id, StudyState::Done, "", now).unwrap();
    assert_eq!(fetch(v1::Artefact::ReportHtml).await.unwrap(), (page, 5));
    assert_eq!(fetch(v1::Artefact::StudyFile).await.unwrap().0, b"format = 1");
    let read: Vec<String> = running
        .store
        .deeds(0)
        .unwrap()
        .into_iter()
        .filter(|deed| deed.who == "user:ada" && deed.subject == id.as_str())
        .map(|deed| deed.what)
        .collect();
    assert_eq!(read, ["read report", "read study file"]);

    let nothing = v1::FetchRequest { study: "s9-000000".into(), artefact: 1 };
    let nothing = running.console(&auditor).fetch(nothing).await.unwrap_err();
    assert_eq!(Problem::from(&nothing).code, ProblemCode::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn a_stopping_coordinator_ends_what_is_watched() {
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
    events.message().await.unwrap().unwrap();
    running.stop().await;
    let ended = events.message().await.unwrap_err();
    assert_eq!(Problem::from(&ended).code, ProblemCode::Unavailable);
    assert_eq!(ended.message(), "the coordinator is stopping");
}
