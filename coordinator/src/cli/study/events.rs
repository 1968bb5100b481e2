//! A study's events as lines for people. Kinds and fields are those of the runner's events; a kind
//! or field that this version doesn't know is shown as it came.

use serde_json::Value;
use wardround_proto::v1;

/// What happened, in a line without the time.
pub fn line(event: &v1::Event) -> String {
    let json: Value = serde_json::from_str(&event.json).unwrap_or(Value::Null);
    let known = match event.kind.as_str() {
        "state" => state(&json),
        "site" => site(&json),
        "progress" => Progress::of(event).map(|progress| progress.line()),
        "phase" => phase(&json),
        "round" => round(&json),
        "fit" => fit(&json),
        "combination" => combination(&json),
        "trees" => trees(&json),
        _ => None,
    };
    known.unwrap_or_else(|| format!("{}: {}", event.kind, event.json))
}

/// How far a site is with what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The site.
    pub site: String,
    /// `checking`, `weights`, `extracting`, `answering`, `working`.
    pub stage: String,
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0 when unknown.
    pub total: u64,
}

impl Progress {
    /// The progress in an event, if it is one.
    pub fn of(event: &v1::Event) -> Option<Self> {
        if event.kind != "progress" {
            return None;
        }
        let json: Value = serde_json::from_str(&event.json).ok()?;
        Some(Self {
            site: json["site"].as_str()?.to_owned(),
            stage: json["stage"].as_str()?.to_owned(),
            done: json["done"].as_u64()?,
            total: json["total"].as_u64()?,
        })
    }

    /// As a line.
    pub fn line(&self) -> String {
        let Self { site, stage, done, total } = self;
        match total {
            0 => format!("{site}: {stage}"),
            total => format!("{site}: {stage} {done} of {total}"),
        }
    }
}

fn state(json: &Value) -> Option<String> {
    let state = json["state"].as_str()?;
    Some(match json["reason"].as_str() {
        None | Some("") => format!("study is {state}"),
        Some(reason) => format!("study is {state}: {reason}"),
    })
}

fn site(json: &Value) -> Option<String> {
    let (site, what) = (json["site"].as_str()?, json["what"].as_str()?);
    Some(match &json["more"] {
        Value::Null => format!("{site}: {what}"),
        Value::String(more) => format!("{site}: {what}: {more}"),
        Value::Object(more) => {
            let parts = more.iter().map(|(key, value)| match value {
                Value::String(text) => format!("{} {text}", key.replace('_', " ")),
                value => format!("{value} {}", key.replace('_', " ")),
            });
            format!("{site}: {what}, {}", parts.collect::<Vec<_>>().join(", "))
        }
        more => format!("{site}: {what}, {more}"),
    })
}

fn phase(json: &Value) -> Option<String> {
    let name = json["name"].as_str()?;
    Some(match json["models"].as_u64()? {
        0 => format!("phase {name}"),
        1 => format!("phase {name}: 1 model"),
        models => format!("phase {name}: {models} models"),
    })
}

fn round(json: &Value) -> Option<String> {
    Some(format!("round {} asks {}", json["round"].as_u64()?, json["asks"].as_str()?))
}

fn fit(json: &Value) -> Option<String> {
    let (step, unfinished) = (json["step"].as_u64()?, json["unfinished"].as_u64()?);
    let gradient = json["gradient"].as_f64();
    let gradient = gradient.map_or(String::new(), |g| format!(", largest gradient {g:.1e}"));
    Some(format!("step {step}: {unfinished} models unfinished{gradient}"))
}

fn combination(json: &Value) -> Option<String> {
    let [number, of] = ["number", "of"].map(|field| json[field].as_u64());
    Some(format!("combination {} of {}: {}", number?, of?, json["name"].as_str()?))
}

fn trees(json: &Value) -> Option<String> {
    let [step, unfinished, trees] =
        ["step", "unfinished", "trees"].map(|field| json[field].as_u64());
    let (step, unfinished, trees) = (step?, unfinished?, trees?);
    Some(format!("step {step}: {} of {trees} trees grown", trees.saturating_sub(unfinished)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: &str, json: &str) -> String {
        line(&v1::Event { sequence: 1, time_ms: 0, kind: kind.into(), json: json.into() })
    }

    #[test]
    fn events_read_as_sentences() {
        for (kind, json, expected) in [
            ("state", r#"{"state":"running","reason":""}"#, "study is running"),
            ("state", r#"{"state":"failed","reason":"b is lost"}"#, "study is failed: b is lost"),
            (
                "site",
                r#"{"site":"a","what":"enlisted","more":{"patients":10,"set_aside":1,"lock":"ab"}}"#,
                "a: enlisted, 10 patients, 1 set aside, lock ab",
            ),
            ("site", r#"{"site":"a","what":"failed","more":"disk"}"#, "a: failed: disk"),
            (
                "progress",
                r#"{"site":"a","stage":"extracting","done":3,"total":9}"#,
                "a: extracting 3 of 9",
            ),
            ("phase", r#"{"name":"nested","models":30}"#, "phase nested: 30 models"),
            ("round", r#"{"round":4,"asks":"gram"}"#, "round 4 asks gram"),
            (
                "fit",
                r#"{"step":2,"unfinished":5,"gradient":0.01}"#,
                "step 2: 5 models unfinished, largest gradient 1.0e-2",
            ),
            ("combination", r#"{"name":"forest","number":2,"of":7}"#, "combination 2 of 7: forest"),
            ("trees", r#"{"step":8,"unfinished":3,"trees":20}"#, "step 8: 17 of 20 trees grown"),
            ("log", r#"{"what":"coarser"}"#, r#"log: {"what":"coarser"}"#),
            ("state", "damaged", "state: damaged"),
        ] {
            assert_eq!(shown(kind, json), expected);
        }
    }
}
