//! Tasks as the coordinator hands them out, read into types that can't be wrong.

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_proto::payload::{PayloadHead, RAW_LIMIT};
use wardround_proto::v1;

use crate::egress::{About, Errand};

/// Longest name of a task, in bytes; it goes into the ledger.
const MAX_TASK_ID: usize = 128;

/// A task, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What is sent for it.
    pub errand: Errand,
    /// It is handed out again when nothing is heard of it for this long.
    pub lease_ms: i64,
    /// What is to be done.
    pub duty: Duty,
}

/// What a task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Would the site take part?
    Consider {
        /// The study file's text.
        study_toml: String,
        /// Sites of the study.
        sites: u16,
    },
    /// Freeze the cohort and compute its features.
    Enlist {
        /// The study file's text.
        study_toml: String,
    },
    /// Answer a question.
    Answer {
        /// Digest and sizes of the packed question.
        head: PayloadHead,
        /// Where its bytes are.
        question: Question,
        /// The cohort it is for.
        lock: Digest,
    },
    /// Drop what is held of the study.
    Close,
    /// The software doesn't know what is asked.
    NotUnderstood,
}

/// Where a packed question is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Here.
    Inline(Vec<u8>),
    /// At the coordinator, in pieces.
    Remote,
}

impl Task {
    /// Reads a task. None when it can't even be answered, because it has no usable name or study.
    pub fn read(task: v1::Task) -> Option<Self> {
        let named = !task.id.is_empty()
            && task.id.len() <= MAX_TASK_ID
            && task.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !named {
            return None;
        }
        let study = StudyId::parse(&task.study).ok()?;
        let errand = Errand { task: task.id, attempt: task.attempt, study, about: About::Study };
        let duty = task.work.and_then(duty).unwrap_or(Duty::NotUnderstood);
        Some(Self { errand, lease_ms: i64::from(task.lease_ms), duty })
    }
}

fn duty(work: v1::task::Work) -> Option<Duty> {
    use v1::task::Work;
    Some(match work {
        Work::Consider(consider) => Duty::Consider {
            study_toml: consider.study_toml,
            sites: u16::try_from(consider.sites.len()).ok()?,
        },
        Work::Enlist(enlist) => Duty::Enlist { study_toml: enlist.study_toml },
        Work::Ask(ask) => {
            let message = ask.query?;
            let head = PayloadHead::read(&message, RAW_LIMIT).ok()?;
            let question = match message.inline {
                inline if inline.is_empty() => Question::Remote,
                inline => Question::Inline(inline),
            };
            let lock = Digest::try_from(ask.lock_digest.as_slice()).ok()?;
            Duty::Answer { head, question, lock }
        }
        Work::Close(_) => Duty::Close,
    })
}

#[cfg(test)]
mod tests {
    use wardround_proto::payload::Packed;

    use super::*;

    #[test]
    fn a_task_is_read_or_named_as_not_understood() {
        let packed = Packed::new(b"a question");
        let ask = v1::Ask {
            query: Some(packed.message()),
            lock_digest: Digest::of(b"lock").as_bytes().to_vec(),
        };
        let task = |work| v1::Task {
            id: "t1".into(),
            attempt: 2,
            study: "s1".into(),
            lease_ms: 1000,
            work,
        };
        let read = Task::read(task(Some(v1::task::Work::Ask(ask.clone())))).unwrap();
        let Duty::Answer { head, question, lock } = read.duty else { panic!() };
        assert_eq!((read.errand.attempt, lock), (2, Digest::of(b"lock")));
        assert_eq!(
            (head.digest, question),
            (packed.digest, Question::Inline(packed.bytes.to_vec()))
        );
        let short = v1::Ask { lock_digest: vec![1], ..ask };
        let read = Task::read(task(Some(v1::task::Work::Ask(short)))).unwrap();
        assert_eq!(read.duty, Duty::NotUnderstood);
        assert_eq!(Task::read(task(None)).unwrap().duty, Duty::NotUnderstood);
    }

    #[test]
    fn a_task_without_a_usable_name_is_dropped() {
        for (id, study) in [("", "s1"), ("a\nb", "s1"), (&"a".repeat(129), "s1"), ("a", "../x")] {
            let task = v1::Task { id: id.into(), study: study.into(), ..v1::Task::default() };
            assert_eq!(Task::read(task), None);
        }
    }
}
